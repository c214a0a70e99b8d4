//! Components written byte by byte, larger and more tangled than any text would be.

pub(crate) fn leb(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}

pub(crate) fn section(number: u8, body: &[u8]) -> Vec<u8> {
    [vec![number], leb(body.len() as u64), body.to_vec()].concat()
}

/// A vector of items that are written already.
pub(crate) fn list(items: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let items: Vec<_> = items.into_iter().collect();
    [leb(items.len() as u64), items.concat()].concat()
}

pub(crate) fn name(text: &str) -> Vec<u8> {
    [leb(text.len() as u64), text.as_bytes().to_vec()].concat()
}

pub(crate) fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x01\0\0\0".to_vec(), sections.concat()].concat()
}

pub(crate) fn component(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0".to_vec(), sections.concat()].concat()
}

/// A component that holds one core module, and nothing else.
pub(crate) fn around(module: &[u8]) -> Vec<u8> {
    component(&[section(1, module)])
}

/// A module of functions from one number to another, with these bodies (locals included).
pub(crate) fn functions(bodies: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let bodies: Vec<_> = bodies.into_iter().collect();
    module(&[
        section(1, &list([vec![0x60, 1, 0x7f, 1, 0x7f]])),
        section(3, &list(bodies.iter().map(|_| vec![0]))),
        section(10, &list(bodies.iter().map(|body| [leb(body.len() as u64), body.clone()].concat()))),
    ])
}

/// Loops within loops, around locals that are all changed: every loop needs a merge of every local.
pub(crate) fn loops(loops: usize, locals: u64) -> Vec<u8> {
    let (get, set) = (0x20, 0x21);
    let mut code = [vec![1], leb(locals), vec![0x7f]].concat();
    code.extend([0x03, 0x40].repeat(loops));
    for index in 0..locals {
        let (one, other) = (leb(1 + index), leb(1 + (index * 7 + 3) % locals));
        code.extend([vec![get], one.clone(), vec![get], other, vec![0x6a, set], one].concat());
    }
    // As long as the parameter is not zero.
    code.extend([get, 0, 0x0d, 0, 0x0b].repeat(loops));
    code.extend([get, 1, 0x0b]);
    code
}

/// Adds the parameter to a sum so many times.
pub(crate) fn straight(additions: usize) -> Vec<u8> {
    let mut code = vec![1, 1, 0x7f];
    for number in 0..additions {
        // local.get 1; local.get 0; i32.const; i32.mul; i32.add; local.set 1
        code.extend([0x20, 1, 0x20, 0, 0x41]);
        code.extend(leb((number % 60) as u64));
        code.extend([0x6c, 0x6a, 0x21, 1]);
    }
    code.extend([0x20, 1, 0x0b]);
    code
}
