//! Documents that people keep, send and edit: one content, as Markdown and as HTML.
//!
//! Everything in them is text, much of it of others: whatever would be markup, a link or a mention is written as the character that it is. What stands
//! between back-ticks is shown as code, as in the sentences of this program.

use std::fmt::Write as _;

use clap::ValueEnum;
use ripcord_core::foreign::Foreign;
use serde::Serialize;

use super::Page;
use super::text::{Text, Whole, text};

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentForm {
    /// For a repository or a wiki.
    #[default]
    Markdown,
    /// For a browser: one file that needs nothing else.
    Html,
}

/// A document: its title, then its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    title: String,
    blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    Heading(String),
    Paragraph(String),
    List { numbered: bool, items: Vec<String> },
    Table { head: Vec<String>, rows: Vec<Vec<String>> },
}

/// A piece of a line.
enum Piece<'a> {
    Plain(&'a str),
    Code(&'a str),
}

impl Document {
    /// One with a title and nothing below it.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), blocks: Vec::new() }
    }

    /// Begins a section.
    pub fn heading(&mut self, heading: impl Into<String>) {
        self.blocks.push(Block::Heading(heading.into()));
    }

    /// Says something.
    pub fn paragraph(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Paragraph(text.into()));
    }

    /// Lists something; of nothing there is no list.
    pub fn list(&mut self, items: impl IntoIterator<Item = String>) {
        self.blocks.push(Block::List { numbered: false, items: items.into_iter().collect() });
    }

    /// Lists steps in their order.
    pub fn steps(&mut self, items: impl IntoIterator<Item = String>) {
        self.blocks.push(Block::List { numbered: true, items: items.into_iter().collect() });
    }

    /// A table; without rows there is none.
    pub fn table<const N: usize>(&mut self, head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
        let rows: Vec<_> = rows.into_iter().map(Vec::from).collect();
        if !rows.is_empty() {
            self.blocks.push(Block::Table { head: head.map(str::to_owned).into(), rows });
        }
    }

    /// The whole document.
    pub fn written(&self, form: DocumentForm) -> String {
        match form {
            DocumentForm::Markdown => self.markdown(),
            DocumentForm::Html => self.html(),
        }
    }

    /// As the page of a command; `--json` has the document as text.
    pub fn page(&self, form: DocumentForm) -> Page {
        let written = self.written(form);
        let lines = written.lines().map(|line| text!("{}", Whole(Foreign::source(line))));
        Page::done(Text::joined(lines, "\n"), &serde_json::json!({ "form": form, "document": written }))
    }

    fn markdown(&self) -> String {
        let mut out = format!("# {}\n", markdown_line(&self.title));
        for block in &self.blocks {
            out.push('\n');
            // Writing to a string does not fail.
            let _ = match block {
                Block::Heading(text) => writeln!(out, "## {}", markdown_line(text)),
                Block::Paragraph(text) => writeln!(out, "{}", markdown_block(text)),
                Block::List { numbered, items } => {
                    for (index, item) in items.iter().enumerate() {
                        let mark = if *numbered { format!("{}.", index + 1) } else { "-".to_owned() };
                        let _ = writeln!(out, "{mark} {}", markdown_block(item));
                    }
                    Ok(())
                }
                Block::Table { head, rows } => {
                    let line = |cells: &[String]| {
                        let cells: Vec<_> = cells.iter().map(|cell| markdown_line(cell)).collect();
                        format!("| {} |", cells.join(" | "))
                    };
                    let _ = writeln!(out, "{}\n|{}", line(head), "---|".repeat(head.len()));
                    rows.iter().try_for_each(|row| writeln!(out, "{}", line(row)))
                }
            };
        }
        out
    }

    fn html(&self) -> String {
        let title = html_text(&self.title);
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n<h1>{}</h1>\n",
            html_line(&self.title)
        );
        for block in &self.blocks {
            // Writing to a string does not fail.
            let _ = match block {
                Block::Heading(text) => writeln!(out, "<h2>{}</h2>", html_line(text)),
                Block::Paragraph(text) => writeln!(out, "<p>{}</p>", html_line(text)),
                Block::List { numbered, items } => {
                    let kind = if *numbered { "ol" } else { "ul" };
                    let items: Vec<_> =
                        items.iter().map(|item| format!("<li>{}</li>\n", html_line(item))).collect();
                    writeln!(out, "<{kind}>\n{}</{kind}>", items.concat())
                }
                Block::Table { head, rows } => {
                    let line = |cells: &[String], kind: &str| {
                        let cells: Vec<_> = cells
                            .iter()
                            .map(|cell| format!("<{kind}>{}</{kind}>", html_line(cell)))
                            .collect();
                        format!("<tr>{}</tr>\n", cells.concat())
                    };
                    let rows: Vec<_> = rows.iter().map(|row| line(row, "td")).collect();
                    writeln!(out, "<table>\n{}{}</table>", line(head, "th"), rows.concat())
                }
            };
        }
        out
    }
}

const STYLE: &str = "body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; background: #fff }\n\
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid #ccc }\n\
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #ddd; overflow-wrap: anywhere }\n\
code { font: .9em ui-monospace, monospace; background: #f2f2f2; padding: 0 .2em; overflow-wrap: anywhere }\n\
@media print { body { margin: 0; max-width: none } }\n";

/// One line of text, harmless on a terminal as well.
fn harmless(text: &str) -> String {
    let joined = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>();
    Foreign::new(&joined.join(" ")).to_string()
}

/// At pairs of back-ticks; one that stands alone is a character.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('`') {
        let Some((code, after)) = after.split_once('`') else { break };
        found.push(Piece::Plain(before));
        found.push(if code.is_empty() { Piece::Plain("``") } else { Piece::Code(code) });
        rest = after;
    }
    found.push(Piece::Plain(rest));
    found
}

fn markdown_line(text: &str) -> String {
    let text = harmless(text);
    let mut out = String::new();
    for piece in pieces(&text) {
        match piece {
            Piece::Plain(plain) => out.push_str(&markdown_text(plain)),
            // In a table a bar ends the cell, also within code.
            Piece::Code(code) => {
                let _ = write!(out, "`{}`", code.replace('|', "\\|"));
            }
        }
    }
    out
}

/// The same where a block begins: what stands first in it may begin a list or a rule.
fn markdown_block(text: &str) -> String {
    let out = markdown_line(text);
    let digits = out.bytes().take_while(u8::is_ascii_digit).count();
    let mark = &out[digits..];
    let begins = |marks: &[char]| {
        let rest = mark.strip_prefix(marks);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '-', '=']))
    };
    let is_list = if digits > 0 { begins(&['.', ')']) } else { begins(&['-', '+', '=']) };
    if is_list { format!("{}\\{mark}", &out[..digits]) } else { out }
}

fn markdown_text(text: &str) -> String {
    // An address would become a link, and a name with a sign before it a mention: both are shown as code.
    let word = |word: &str| {
        let name = word.trim_end();
        let blank = &word[name.len()..];
        if name.contains('@') {
            format!("`{}`{blank}", name.replace('`', "'").replace('|', "\\|"))
        } else {
            markdown_word(word)
        }
    };
    text.split_inclusive(' ').map(word).collect()
}

fn markdown_word(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '#' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            // Neither entities nor links that make themselves.
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out.replace("://", "&#58;//").replace("www.", "www&#46;")
}

fn html_line(text: &str) -> String {
    let text = harmless(text);
    let mut out = String::new();
    for piece in pieces(&text) {
        match piece {
            Piece::Plain(plain) => out.push_str(&escaped(plain)),
            Piece::Code(code) => {
                let _ = write!(out, "<code>{}</code>", escaped(code));
            }
        }
    }
    out
}

fn html_text(text: &str) -> String {
    escaped(&harmless(text))
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hostile;

    fn of(text: &str) -> Document {
        let mut document = Document::new(text);
        document.heading(text);
        document.paragraph(text);
        document.list([text.to_owned()]);
        document.steps([text.to_owned()]);
        document.table(["what", "said"], [["one".to_owned(), text.to_owned()]]);
        document
    }

    #[test]
    fn nothing_that_others_wrote_is_markup() {
        let table = [
            ("<script>alert(1)</script>", "&lt;script&gt;", "\\<script\\>"),
            (
                "![x](http://evil.example/x.png)",
                "![x](http://evil.example",
                "\\!\\[x\\](http&#58;//evil.example",
            ),
            ("[click](javascript:alert(1))", "[click]", "\\[click\\]"),
            ("a | b", "a | b", "a \\| b"),
            ("`a | b`", "<code>a | b</code>", "`a \\| b`"),
            ("`<b>`", "<code>&lt;b&gt;</code>", "`<b>`"),
            ("# no heading", "# no heading", "\\# no heading"),
            ("- no list", "- no list", "\\- no list"),
            ("1. no list", "1. no list", "1\\. no list"),
            ("+ no list", "+ no list", "\\+ no list"),
            ("1.4.0 is -1 or +2", "1.4.0 is -1", "1.4.0 is -1 or +2"),
            ("ask @everyone at www.evil.example", "ask @everyone", "ask `@everyone` at www&#46;evil"),
            ("pay pay@evil.example now", "pay@evil.example", "pay `pay@evil.example` now"),
            ("*loud* _and_ ~~gone~~ &lt;", "&amp;lt;", "\\*loud\\* \\_and\\_ \\~\\~gone\\~\\~ &amp;lt;"),
            ("one\n\n# two", "one # two", "one \\# two"),
            ("a ` alone", "a ` alone", "a \\` alone"),
        ];
        for (text, html, markdown) in table {
            let document = of(text);
            let (as_html, as_markdown) =
                (document.written(DocumentForm::Html), document.written(DocumentForm::Markdown));
            // Title, heading, text, two lists and a cell; what begins a list does so in three of them.
            let wanted = if text.contains("no list") { 3 } else { 6 };
            assert_eq!(as_markdown.matches(markdown).count(), wanted, "{text}: {as_markdown}");
            assert!(as_html.matches(html).count() >= 6, "{text}: {as_html}");
            assert!(!as_html.contains("<script") && !as_html.contains("<img"), "{as_html}");
            assert_eq!(as_markdown.lines().count(), of("x").written(DocumentForm::Markdown).lines().count());
        }
    }

    #[test]
    fn no_character_gets_out_of_its_place() {
        for (name, text) in hostile::table() {
            for form in [DocumentForm::Markdown, DocumentForm::Html] {
                hostile::assert_harmless(&of(&text).page(form).text, name);
            }
        }
    }
}
