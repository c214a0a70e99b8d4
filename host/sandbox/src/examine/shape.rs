//! The shape of a component, counted before the compiler sees it.
//!
//! What validating and compiling cost is not in proportion to the bytes: few of them can ask for thousands of nested instances, or for a
//! function with a merge of every local at every loop. The counts here are cheap (one pass, no memory of its own) and refuse, with a sentence
//! that names the part, what no honest policy comes near; what they let through is still held by the limits around the compiler.

use serde::{Deserialize, Serialize};
use wasmparser::{
    BinaryReaderError, ComponentDefinedType, ComponentExternalKind, ComponentInstance, ComponentType,
    ComponentTypeDeclaration, CoreType, ElementItems, FunctionBody, InstanceTypeDeclaration,
    ModuleTypeDeclaration, Operator, Parser, Payload,
};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Components and modules within each other.
    Nesting,
    /// Core modules, nested ones included.
    Modules,
    /// Instances that the components within make of each other, as many as the engine would have to lay out.
    Instances,
    /// Components as arguments and results of components: with them a few can make any number of instances.
    PassedComponents,
    /// Types, nested ones included.
    Types,
    /// Parameters, fields, cases and the like of all types.
    TypeParts,
    /// Imports and exports at all levels.
    Names,
    /// Core functions.
    Functions,
    /// Functions that pass between core modules and components.
    Adapters,
    /// Globals, tables, memories and tags.
    Globals,
    /// Segments of data and of elements.
    Segments,
    /// Elements that tables are filled with.
    Elements,
    /// Bytes of all functions.
    CodeBytes,
    /// Bytes of one function.
    FunctionBytes,
    /// Locals of one function.
    Locals,
    /// Blocks within blocks of one function.
    BlockNesting,
    /// Targets of the jump tables of one function.
    JumpTargets,
    /// Loops times locals of one function: where loops meet, the compiler has a value for each local.
    Merges,
}

impl Part {
    /// The most that is compiled. Ten times what the largest starter policy has leaves every one of these far away.
    const fn max(self) -> u64 {
        match self {
            Self::Nesting => 10,
            Self::Modules => 50,
            Self::Instances => 300,
            Self::PassedComponents => 0,
            Self::Types => 10_000,
            Self::TypeParts => 100_000,
            Self::Names => 10_000,
            Self::Functions => 30_000,
            Self::Adapters => 2_000,
            Self::Globals => 10_000,
            Self::Segments => 20_000,
            Self::Elements => 100_000,
            Self::CodeBytes => 8 << 20,
            Self::FunctionBytes => 512 << 10,
            Self::Locals => 5_000,
            Self::BlockNesting => 2_000,
            Self::JumpTargets => 50_000,
            Self::Merges => 40_000,
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nesting => "levels of components within components",
            Self::Modules => "modules",
            Self::Instances => "instances of components within it",
            Self::PassedComponents => "components that are passed between components",
            Self::Types => "types",
            Self::TypeParts => "parts of types (parameters, fields, cases)",
            Self::Names => "imports and exports",
            Self::Functions => "functions",
            Self::Adapters => "functions between its modules and components",
            Self::Globals => "globals, tables and memories",
            Self::Segments => "segments of data and elements",
            Self::Elements => "table elements",
            Self::CodeBytes => "bytes of functions",
            Self::FunctionBytes => "bytes in one function",
            Self::Locals => "local variables in one function",
            Self::BlockNesting => "blocks within blocks in one function",
            Self::JumpTargets => "targets of jump tables in one function",
            Self::Merges => "loops times local variables in one function",
        })
    }
}

/// More of something than is compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error(
    "the component has {at_least} or more {part}, and {} is the most; {}", part.max(), part.advice()
)]
pub struct TooMuch {
    /// Of what.
    pub part: Part,
    /// Counting stops there.
    pub at_least: u64,
}

impl Part {
    const fn advice(self) -> &'static str {
        match self {
            Self::FunctionBytes | Self::Locals | Self::BlockNesting | Self::JumpTargets | Self::Merges => {
                "split that function, and keep large tables as data rather than code"
            }
            Self::Nesting | Self::Modules | Self::Instances | Self::PassedComponents | Self::Adapters => {
                "build the policy as one module with `ripcord policy build`"
            }
            _ => "build it with `opt-level = \"s\"` and leave out what it does not use",
        }
    }
}

/// Why a component is not handed to the compiler.
#[derive(Debug)]
pub(crate) enum Misshapen {
    /// Of its size.
    TooMuch(TooMuch),
    /// It cannot be read to its end.
    Broken(BinaryReaderError),
}

impl From<BinaryReaderError> for Misshapen {
    fn from(error: BinaryReaderError) -> Self {
        Self::Broken(error)
    }
}

/// Counts the parts of `component` and stops at the first that is too many.
pub(crate) fn check(component: &[u8]) -> Result<(), Misshapen> {
    let mut counts = Counts::default();
    for payload in Parser::new(0).parse_all(component) {
        counts.payload(payload?)?;
    }
    Ok(())
}

fn within(part: Part, count: u64) -> Result<(), Misshapen> {
    if count <= part.max() {
        return Ok(());
    }
    Err(Misshapen::TooMuch(TooMuch { part, at_least: count }))
}

/// One number for each part that is counted over the whole component.
#[derive(Debug, Default)]
struct Counts {
    /// Instances that each of the enclosing components has made so far.
    enclosing: Vec<u64>,
    /// Product of one more than the instances of every component that has ended.
    instances: u64,
    passed_components: u64,
    modules: u64,
    types: u64,
    type_parts: u64,
    names: u64,
    functions: u64,
    adapters: u64,
    globals: u64,
    segments: u64,
    elements: u64,
    code_bytes: u64,
}

impl Counts {
    fn add(total: &mut u64, part: Part, more: impl Into<u64>) -> Result<(), Misshapen> {
        *total = total.saturating_add(more.into());
        within(part, *total)
    }

    fn payload(&mut self, payload: Payload<'_>) -> Result<(), Misshapen> {
        match payload {
            Payload::Version { .. } => self.enter(),
            Payload::End(_) => self.leave(),
            Payload::ModuleSection { .. } => Self::add(&mut self.modules, Part::Modules, 1_u64),
            Payload::InstanceSection(section) => {
                Self::add(&mut self.adapters, Part::Adapters, section.count())
            }
            Payload::ComponentCanonicalSection(section) => {
                Self::add(&mut self.adapters, Part::Adapters, section.count())
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    match instance? {
                        ComponentInstance::Instantiate { args, .. } => {
                            if let Some(made) = self.enclosing.last_mut() {
                                *made += 1;
                            }
                            Self::add(&mut self.names, Part::Names, args.len() as u64)?;
                        }
                        ComponentInstance::FromExports(exports) => {
                            Self::add(&mut self.names, Part::Names, exports.len() as u64)?;
                            exports.iter().try_for_each(|export| self.passed(export.kind))?;
                        }
                    }
                }
                Ok(())
            }
            Payload::ComponentAliasSection(section) => {
                Self::add(&mut self.names, Part::Names, section.count())
            }
            Payload::ComponentImportSection(section) => {
                Self::add(&mut self.names, Part::Names, section.count())?;
                for import in section {
                    self.passed(import?.ty.kind())?;
                }
                Ok(())
            }
            Payload::ComponentExportSection(section) => {
                Self::add(&mut self.names, Part::Names, section.count())?;
                for export in section {
                    self.passed(export?.kind)?;
                }
                Ok(())
            }
            Payload::ImportSection(section) => Self::add(&mut self.names, Part::Names, section.count()),
            Payload::ExportSection(section) => Self::add(&mut self.names, Part::Names, section.count()),
            Payload::TypeSection(section) => {
                for group in section {
                    self.core_types(&group?)?;
                }
                Ok(())
            }
            Payload::CoreTypeSection(section) => {
                for ty in section {
                    self.core_type(&ty?)?;
                }
                Ok(())
            }
            Payload::ComponentTypeSection(section) => {
                for ty in section {
                    self.component_type(&ty?)?;
                }
                Ok(())
            }
            Payload::FunctionSection(section) => {
                Self::add(&mut self.functions, Part::Functions, section.count())
            }
            Payload::TableSection(section) => Self::add(&mut self.globals, Part::Globals, section.count()),
            Payload::MemorySection(section) => Self::add(&mut self.globals, Part::Globals, section.count()),
            Payload::TagSection(section) => Self::add(&mut self.globals, Part::Globals, section.count()),
            Payload::GlobalSection(section) => Self::add(&mut self.globals, Part::Globals, section.count()),
            Payload::DataSection(section) => Self::add(&mut self.segments, Part::Segments, section.count()),
            Payload::ElementSection(section) => {
                Self::add(&mut self.segments, Part::Segments, section.count())?;
                for element in section {
                    let count = match element?.items {
                        ElementItems::Functions(items) => items.count(),
                        ElementItems::Expressions(_, items) => items.count(),
                    };
                    Self::add(&mut self.elements, Part::Elements, count)?;
                }
                Ok(())
            }
            Payload::CodeSectionEntry(body) => {
                Self::add(&mut self.code_bytes, Part::CodeBytes, body.as_bytes().len() as u64)?;
                check_function(&body)
            }
            _ => Ok(()),
        }
    }

    fn passed(&mut self, kind: ComponentExternalKind) -> Result<(), Misshapen> {
        let more = u64::from(kind == ComponentExternalKind::Component);
        Self::add(&mut self.passed_components, Part::PassedComponents, more)
    }

    fn enter(&mut self) -> Result<(), Misshapen> {
        self.enclosing.push(0);
        within(Part::Nesting, self.enclosing.len() as u64)
    }

    /// A component that makes `n` instances takes at most `n + 1` times what the largest of those takes, so the product over all components
    /// bounds what instances of instances come to. It holds because no component is passed to another: each is on a way from the outermost
    /// to an innermost instance at most once.
    fn leave(&mut self) -> Result<(), Misshapen> {
        let made = self.enclosing.pop().unwrap_or(0);
        self.instances = self.instances.max(1).saturating_mul(made + 1);
        within(Part::Instances, self.instances)
    }

    fn one_type(&mut self, parts: usize) -> Result<(), Misshapen> {
        Self::add(&mut self.types, Part::Types, 1_u64)?;
        Self::add(&mut self.type_parts, Part::TypeParts, parts as u64)
    }

    fn core_types(&mut self, group: &wasmparser::RecGroup) -> Result<(), Misshapen> {
        for ty in group.types() {
            let parts = match &ty.composite_type.inner {
                wasmparser::CompositeInnerType::Func(ty) => ty.params().len() + ty.results().len(),
                wasmparser::CompositeInnerType::Struct(ty) => ty.fields.len(),
                _ => 1,
            };
            self.one_type(parts)?;
        }
        Ok(())
    }

    fn core_type(&mut self, ty: &CoreType<'_>) -> Result<(), Misshapen> {
        match ty {
            CoreType::Rec(group) => self.core_types(group),
            CoreType::Module(declarations) => {
                self.one_type(declarations.len())?;
                declarations.iter().try_for_each(|declaration| match declaration {
                    ModuleTypeDeclaration::Type(group) => self.core_types(group),
                    _ => Ok(()),
                })
            }
        }
    }

    fn component_type(&mut self, ty: &ComponentType<'_>) -> Result<(), Misshapen> {
        match ty {
            ComponentType::Defined(ty) => self.one_type(parts_of(ty)),
            ComponentType::Func(ty) => self.one_type(ty.params.len() + 1),
            ComponentType::Resource { .. } => self.one_type(1),
            ComponentType::Component(declarations) => {
                self.one_type(declarations.len())?;
                declarations.iter().try_for_each(|declaration| match declaration {
                    ComponentTypeDeclaration::CoreType(ty) => self.core_type(ty),
                    ComponentTypeDeclaration::Type(ty) => self.component_type(ty),
                    _ => Ok(()),
                })
            }
            ComponentType::Instance(declarations) => {
                self.one_type(declarations.len())?;
                declarations.iter().try_for_each(|declaration| match declaration {
                    InstanceTypeDeclaration::CoreType(ty) => self.core_type(ty),
                    InstanceTypeDeclaration::Type(ty) => self.component_type(ty),
                    _ => Ok(()),
                })
            }
        }
    }
}

fn parts_of(ty: &ComponentDefinedType<'_>) -> usize {
    match ty {
        ComponentDefinedType::Record(fields) => fields.len(),
        ComponentDefinedType::Variant(cases) => cases.len(),
        ComponentDefinedType::Tuple(types) => types.len(),
        ComponentDefinedType::Flags(names) | ComponentDefinedType::Enum(names) => names.len(),
        // Such a list is laid out element by element.
        ComponentDefinedType::FixedLengthList(_, length) => *length as usize,
        _ => 1,
    }
}

fn check_function(body: &FunctionBody<'_>) -> Result<(), Misshapen> {
    within(Part::FunctionBytes, body.as_bytes().len() as u64)?;
    let mut locals = 0_u64;
    let mut reader = body.get_locals_reader()?;
    for _ in 0..reader.get_count() {
        locals = locals.saturating_add(u64::from(reader.read()?.0));
        within(Part::Locals, locals)?;
    }
    let (mut depth, mut loops, mut targets) = (0_u64, 0_u64, 0_u64);
    for operator in body.get_operators_reader()? {
        match operator? {
            Operator::Block { .. } | Operator::If { .. } => depth += 1,
            Operator::Loop { .. } => {
                depth += 1;
                loops += 1;
            }
            Operator::End => depth = depth.saturating_sub(1),
            Operator::BrTable { targets: table } => targets += u64::from(table.len()),
            _ => continue,
        }
        within(Part::BlockNesting, depth)?;
        within(Part::JumpTargets, targets)?;
        within(Part::Merges, loops.saturating_mul(locals))?;
    }
    Ok(())
}
