//! As much of GraphQL as W&B's clients send: operations, fragments, aliases, arguments, `@include` and `@skip`. A field that is not there is an error, as
//! on any server with a schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) is_mutation: bool,
    pub(crate) name: String,
    defaults: Map<String, Value>,
    pub(crate) selection: Vec<Selection>,
    pub(crate) fragments: BTreeMap<String, Fragment>,
}

#[derive(Debug, Clone)]
pub(crate) struct Fragment {
    on: String,
    pub(crate) selection: Vec<Selection>,
}

#[derive(Debug, Clone)]
pub(crate) enum Selection {
    Field(Field),
    Spread { fragment: String, when: Vec<When> },
    Inline { on: Option<String>, when: Vec<When>, selection: Vec<Selection> },
}

#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) arguments: Vec<(String, Argument)>,
    when: Vec<When>,
    pub(crate) selection: Vec<Selection>,
}

#[derive(Debug, Clone)]
pub(crate) enum Argument {
    Variable(String),
    Value(Value),
    Object(Vec<(String, Argument)>),
    List(Vec<Argument>),
}

/// `@include(if:)`, or `@skip(if:)`.
#[derive(Debug, Clone)]
pub(crate) struct When {
    include: bool,
    condition: Argument,
}

/// What a field leads to.
pub(crate) enum Out {
    Leaf(Value),
    List(Vec<Out>),
    Object(Node),
}

/// A field's value by its name and its arguments; none where the type has no such field.
type Resolve = std::rc::Rc<dyn Fn(&str, &Map<String, Value>) -> Option<Result<Out, String>>>;

/// An object of a type.
#[derive(Clone)]
pub(crate) struct Node {
    kind: String,
    resolve: Resolve,
}

impl Node {
    pub(crate) fn new(
        kind: &str,
        resolve: impl Fn(&str, &Map<String, Value>) -> Option<Result<Out, String>> + 'static,
    ) -> Self {
        Self { kind: kind.to_owned(), resolve: std::rc::Rc::new(resolve) }
    }

    /// An object of JSON, whose `__typename` is its type.
    pub(crate) fn plain(value: Value) -> Self {
        let kind = value.get("__typename").and_then(Value::as_str).unwrap_or("Object").to_owned();
        Self::new(&kind, move |name, _| Some(Ok(of_json(value.get(name)?.clone()))))
    }
}

/// JSON as it would come of a schema.
pub(crate) fn of_json(value: Value) -> Out {
    match value {
        Value::Object(_) => Out::Object(Node::plain(value)),
        Value::Array(list) => Out::List(list.into_iter().map(of_json).collect()),
        leaf => Out::Leaf(leaf),
    }
}

impl Document {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0 };
        let mut document = None;
        let mut fragments = BTreeMap::new();
        while let Some(word) = parser.peek() {
            match word {
                "fragment" => {
                    parser.next()?;
                    let name = parser.next()?.to_owned();
                    parser.expect("on")?;
                    let on = parser.next()?.to_owned();
                    fragments.insert(name, Fragment { on, selection: parser.selection()? });
                }
                "query" | "mutation" => {
                    let is_mutation = parser.next()? == "mutation";
                    let name = parser.next()?.to_owned();
                    let defaults = parser.variables()?;
                    let selection = parser.selection()?;
                    document = Some((is_mutation, name, defaults, selection));
                }
                other => return Err(format!("Syntax Error: unexpected `{other}`")),
            }
        }
        let (is_mutation, name, defaults, selection) = document.ok_or("Syntax Error: no operation")?;
        Ok(Self { is_mutation, name, defaults, selection, fragments })
    }

    /// The `data` that comes of it.
    pub(crate) fn execute(&self, root: &Node, variables: &Map<String, Value>) -> Result<Value, String> {
        let mut known = self.defaults.clone();
        known.extend(variables.clone());
        Execution { document: self, variables: known }.object(root, &self.selection).map(Value::Object)
    }

    /// Every field that is asked for, as a path with the names of its arguments.
    pub(crate) fn paths(&self) -> std::collections::BTreeSet<String> {
        let mut found = std::collections::BTreeSet::new();
        self.walk(&self.selection, "", &mut found);
        found
    }

    fn walk(&self, selection: &[Selection], at: &str, found: &mut std::collections::BTreeSet<String>) {
        for selection in selection {
            match selection {
                Selection::Field(field) => {
                    let names: Vec<_> = field.arguments.iter().map(|(name, _)| name.as_str()).collect();
                    let here = format!("{at}/{}:{}", field.key, field.name);
                    found.insert(here.clone());
                    found.extend(names.iter().map(|name| format!("{here}({name})")));
                    self.walk(&field.selection, &here, found);
                }
                Selection::Spread { fragment, .. } => {
                    if let Some(fragment) = self.fragments.get(fragment) {
                        self.walk(&fragment.selection, at, found);
                    }
                }
                Selection::Inline { selection, .. } => self.walk(selection, at, found),
            }
        }
    }
}

struct Execution<'a> {
    document: &'a Document,
    variables: Map<String, Value>,
}

impl Execution<'_> {
    fn object(&self, node: &Node, selection: &[Selection]) -> Result<Map<String, Value>, String> {
        let mut into = Map::new();
        self.fill(node, selection, &mut into)?;
        Ok(into)
    }

    fn fill(
        &self,
        node: &Node,
        selection: &[Selection],
        into: &mut Map<String, Value>,
    ) -> Result<(), String> {
        for selection in selection {
            match selection {
                Selection::Field(field) if self.holds(&field.when) => {
                    let value = self.field(node, field)?;
                    match (into.get_mut(&field.key), value) {
                        (Some(Value::Object(before)), Value::Object(more)) => before.extend(more),
                        (_, value) => drop(into.insert(field.key.clone(), value)),
                    }
                }
                Selection::Spread { fragment, when } if self.holds(when) => {
                    let fragment = self.document.fragments.get(fragment);
                    let fragment = fragment.ok_or("Syntax Error: unknown fragment")?;
                    if is_of(&node.kind, &fragment.on) {
                        self.fill(node, &fragment.selection, into)?;
                    }
                }
                Selection::Inline { on, when, selection }
                    if self.holds(when) && on.as_ref().is_none_or(|on| is_of(&node.kind, on)) =>
                {
                    self.fill(node, selection, into)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn field(&self, node: &Node, field: &Field) -> Result<Value, String> {
        if field.name == "__typename" {
            return Ok(node.kind.clone().into());
        }
        let mut arguments = Map::new();
        for (name, argument) in &field.arguments {
            if let Some(value) = self.value(argument) {
                arguments.insert(name.clone(), value);
            }
        }
        let out = (node.resolve)(&field.name, &arguments)
            .ok_or_else(|| format!("Cannot query field \"{}\" on type \"{}\".", field.name, node.kind))??;
        self.out(out, field)
    }

    fn out(&self, out: Out, field: &Field) -> Result<Value, String> {
        match out {
            Out::Object(node) => self.object(&node, &field.selection).map(Value::Object),
            Out::List(list) => {
                let all = list.into_iter().map(|out| self.out(out, field));
                all.collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            Out::Leaf(value) => Ok(value),
        }
    }

    fn holds(&self, when: &[When]) -> bool {
        when.iter().all(|when| {
            let so = self.value(&when.condition).and_then(|value| value.as_bool()).unwrap_or(false);
            so == when.include
        })
    }

    fn value(&self, argument: &Argument) -> Option<Value> {
        match argument {
            Argument::Variable(name) => self.variables.get(name).cloned(),
            Argument::Value(value) => Some(value.clone()),
            Argument::Object(fields) => {
                let all = fields.iter().filter_map(|(name, value)| Some((name.clone(), self.value(value)?)));
                Some(Value::Object(all.collect()))
            }
            Argument::List(list) => {
                Some(Value::Array(list.iter().filter_map(|one| self.value(one)).collect()))
            }
        }
    }
}

/// Whether an object of a type is meant by a condition on a type or an interface.
fn is_of(kind: &str, on: &str) -> bool {
    kind == on || (on == "ArtifactCollection" && matches!(kind, "ArtifactSequence" | "ArtifactPortfolio"))
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(&c) = rest.peek() {
        if c.is_whitespace() || c == ',' || c == '\u{feff}' {
            rest.next();
        } else if c == '#' {
            while rest.next_if(|c| *c != '\n').is_some() {}
        } else if c == '"' {
            let mut token = String::from(c);
            rest.next();
            while let Some(c) = rest.next() {
                token.push(c);
                match c {
                    '\\' => token.extend(rest.next()),
                    '"' => break,
                    _ => {}
                }
            }
            tokens.push(token);
        } else if c.is_alphanumeric() || c == '_' || c == '-' {
            let mut token = String::new();
            while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
                token.push(c);
            }
            tokens.push(token);
        } else if c == '.' {
            for _ in 0..3 {
                rest.next_if_eq(&'.').ok_or("Syntax Error: expected `...`")?;
            }
            tokens.push("...".into());
        } else {
            tokens.push(c.to_string());
            rest.next();
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [String],
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Result<&'a str, String> {
        let token = self.peek().ok_or("Syntax Error: unexpected end")?;
        self.at += 1;
        Ok(token)
    }

    fn is_next(&mut self, token: &str) -> bool {
        let is = self.peek() == Some(token);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        let found = self.next()?;
        if found == token {
            Ok(())
        } else {
            Err(format!("Syntax Error: expected `{token}`, found `{found}`"))
        }
    }

    /// The defaults of the variables; their types are believed.
    fn variables(&mut self) -> Result<Map<String, Value>, String> {
        let mut defaults = Map::new();
        if !self.is_next("(") {
            return Ok(defaults);
        }
        while !self.is_next(")") {
            self.expect("$")?;
            let name = self.next()?.to_owned();
            self.expect(":")?;
            while self.peek().is_some_and(|token| !matches!(token, "$" | ")" | "=")) {
                self.next()?;
            }
            if self.is_next("=")
                && let Argument::Value(value) = self.argument()?
            {
                defaults.insert(name, value);
            }
        }
        Ok(defaults)
    }

    fn selection(&mut self) -> Result<Vec<Selection>, String> {
        self.expect("{")?;
        let mut selection = Vec::new();
        while !self.is_next("}") {
            selection.push(self.one()?);
        }
        Ok(selection)
    }

    fn one(&mut self) -> Result<Selection, String> {
        if self.is_next("...") {
            return match self.peek() {
                Some("on") => {
                    self.next()?;
                    let on = Some(self.next()?.to_owned());
                    Ok(Selection::Inline { on, when: self.when()?, selection: self.selection()? })
                }
                Some("{" | "@") => {
                    Ok(Selection::Inline { on: None, when: self.when()?, selection: self.selection()? })
                }
                _ => Ok(Selection::Spread { fragment: self.next()?.to_owned(), when: self.when()? }),
            };
        }
        let key = self.next()?.to_owned();
        let name = if self.is_next(":") { self.next()?.to_owned() } else { key.clone() };
        let arguments = if self.is_next("(") { self.fields(")")? } else { Vec::new() };
        let when = self.when()?;
        let selection = if self.peek() == Some("{") { self.selection()? } else { Vec::new() };
        Ok(Selection::Field(Field { key, name, arguments, when, selection }))
    }

    fn when(&mut self) -> Result<Vec<When>, String> {
        let mut when = Vec::new();
        while self.is_next("@") {
            let include = self.next()? == "include";
            self.expect("(")?;
            let (_, condition) = self.fields(")")?.into_iter().next().ok_or("Syntax Error: no condition")?;
            when.push(When { include, condition });
        }
        Ok(when)
    }

    fn fields(&mut self, end: &str) -> Result<Vec<(String, Argument)>, String> {
        let mut fields = Vec::new();
        while !self.is_next(end) {
            let name = self.next()?.to_owned();
            self.expect(":")?;
            fields.push((name, self.argument()?));
        }
        Ok(fields)
    }

    fn argument(&mut self) -> Result<Argument, String> {
        Ok(match self.next()? {
            "$" => Argument::Variable(self.next()?.to_owned()),
            "{" => Argument::Object(self.fields("}")?),
            "[" => {
                let mut list = Vec::new();
                while !self.is_next("]") {
                    list.push(self.argument()?);
                }
                Argument::List(list)
            }
            // A word is a value of an enumeration, unless it is JSON.
            word => {
                Argument::Value(serde_json::from_str(word).unwrap_or_else(|_| Value::String(word.into())))
            }
        })
    }
}
