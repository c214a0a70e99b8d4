//! What each command does. Every one returns a page; `status --watch` and `policy test --watch` print several.

mod adapters;
pub(crate) mod approval;
mod asking;
mod backtest;
mod changes;
pub mod check;
mod contexts;
pub(crate) mod data;
mod decisions;
mod holds;
mod incidents;
pub mod init;
mod keys;
mod orders;
mod playbook;
mod policies;
pub(crate) mod pull;
mod reach;
mod ready;
mod record;
mod replay;
mod runs;
pub mod serve;
mod sets;
mod shells;
mod signals;
mod signing;
mod states;
mod status;
mod store;
mod targets;
mod try_policies;
mod versions;
mod watched;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use ripcord_core::foreign::Foreign;

use crate::cli::{
    Cli, Command, Global, HoldCommand, IncidentsCommand, KeyCommand, LatchCommand, LogFormat, PlanCommand,
    ReviewCommand, RunsCommand, SetsCommand, SignalsCommand,
};
use crate::output::{self, Color, Exit, Failure, Form, Page, Text, Whole, text};
use crate::telemetry;

pub use decisions::Ago;
use reach::Reach;

type Outcome = Result<Page, Failure>;

/// Runs a command to its end, prints what it has to say and tells how the process ends.
pub fn run(cli: Cli) -> ExitCode {
    let Cli { global, command } = cli;
    if let Command::ExaminePolicy = command {
        // Before anything else takes memory or threads: what is left is for the component.
        return output::print(global.form(), global.color, examine_policy());
    }
    let outcome = runtime().and_then(|runtime| {
        let outcome = runtime.block_on(dispatch(&global, command));
        // A thread that still reads standard input must not keep the process.
        runtime.shutdown_background();
        outcome
    });
    output::print(global.form(), global.color, outcome)
}

/// Prints the help that was asked for, or what is wrong with the arguments, which may come from anywhere: a file's name, a script.
pub fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A reader that went away is no reason to fail.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    // The words of the parser and those of the arguments cannot be told apart in its message, so it is asked again about harmless arguments.
    let arguments = std::env::args_os().map(|one| Foreign::new(&one.to_string_lossy()).to_string().into());
    let as_json = std::env::args_os().skip(1).take_while(|one| one != "--").any(|one| one == "--json");
    let said = match crate::cli::parse(arguments) {
        Err(error) => {
            let said = error.to_string();
            Text::joined(said.lines().map(|line| text!("{}", Whole(Foreign::source(line)))), "\n")
        }
        Ok(_) => text!("{}", error),
    };
    if as_json {
        return output::print(Form::Json, Color::Never, Err(Failure::usage(said.plain())));
    }
    output::tell(Color::Never, &said);
    Exit::Usage.into()
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|cause| Failure::failed("the system gives no threads").because(cause))
}

fn examine_policy() -> Outcome {
    match ripcord_sandbox::examine_for_parent() {
        Ok(()) => Ok(Page::done("", &serde_json::Value::Null)),
        Err(error) => Err(Failure::of(Exit::Failed, error)),
    }
}

async fn dispatch(global: &Global, command: Command) -> Outcome {
    match command {
        #[cfg(feature = "demo")]
        Command::Demo(args) => crate::demo::demo(global, &args).await,
        #[cfg(feature = "demo")]
        Command::ExampleFraud(command) => example(command.run()).await,
        Command::Login(args) => contexts::login(global, &args).await,
        Command::Context(command) => contexts::run(&command),
        Command::Init(args) => init_here(global, args).await,
        Command::Serve(args) => serve_host(global, args.log).await,
        Command::Check(args) => check_host(global, args).await,
        Command::Playbook { service, form } => playbook::playbook(global, &service, form),
        Command::Adapters { name } => adapters::adapters(name.as_deref()),
        Command::Status { service, watch: false } => status::status(global, service.as_ref()).await,
        Command::Status { service, watch: true } => status::watch(global, service.as_ref()).await,
        Command::Reload => orders::reload(global).await,
        Command::Versions { service } => versions::versions(global, &service).await,
        Command::Targets { service, facet } => targets::targets(global, &service, facet.as_deref()).await,
        Command::Ready { service } => ready::ready(global, service.as_ref()).await,
        Command::Changes { service, since, harm_began } => {
            changes::changes(global, &service, since, harm_began).await
        }
        Command::Decisions(args) => decisions::decisions(global, &args).await,
        Command::Adopt { service, revision, reason } => {
            orders::adopt(global, &service, revision, &reason).await
        }
        Command::Pull(args) => pull::pull(global, &args).await,
        Command::Incidents(IncidentsCommand::List { service, open, since, limit }) => {
            let wanted = incidents::Wanted { service, open, since, limit };
            incidents::list(global, &wanted).await
        }
        Command::Incidents(IncidentsCommand::Watch { incident }) => incidents::watch(global, &incident).await,
        Command::Incidents(IncidentsCommand::Show { incident }) => incidents::show(global, &incident).await,
        Command::Incidents(IncidentsCommand::Report { incident, form }) => {
            incidents::report(global, &incident, form).await
        }
        Command::Incidents(IncidentsCommand::Keep(args)) => orders::about(global, "keep", &args).await,
        Command::Incidents(IncidentsCommand::Release(args)) => orders::about(global, "release", &args).await,
        Command::Store(command) => store::run(global, command).await,
        Command::Replay(args) => replay::replay(global, args.incident.as_ref()).await,
        Command::Plan(PlanCommand::Show(args)) if args.to_sign => signing::print(global, &args).await,
        Command::Plan(PlanCommand::Show(args)) if args.runbook => incidents::runbook(global, &args).await,
        Command::Plan(PlanCommand::Show(args)) => incidents::plan(global, &args.incident).await,
        Command::Approve(args) => approval::vote(global, &args, approval::Word::Approve).await,
        Command::Refuse(args) => approval::vote(global, &args, approval::Word::Refuse).await,
        Command::Abort(args) => orders::about(global, "abort", &args).await,
        Command::Dismiss(args) => orders::about(global, "dismiss", &args).await,
        Command::Answer { incident, happened, question, reason } => {
            orders::answer(global, &incident, happened.into(), question, &reason).await
        }
        Command::Pause(args) => orders::stop_or_go(global, "pause", &args).await,
        Command::Resume(args) => orders::stop_or_go(global, "resume", &args).await,
        Command::Hold(HoldCommand::List { service }) => holds::list(global, service.as_ref()).await,
        Command::Hold(HoldCommand::Put { service, data, reason }) => {
            orders::of_data(global, &service, "condemn", data, &reason).await
        }
        Command::Hold(HoldCommand::Lift { service, revision, data, of, reason }) => match (revision, data) {
            (Some(revision), _) => orders::lift(global, &service, &revision, of, &reason).await,
            (None, Some(data)) => orders::of_data(global, &service, "lift", data, &reason).await,
            (None, None) => Err(Failure::usage("say what is lifted: a revision, or --data")),
        },
        Command::Latch(LatchCommand::Lift { service, trigger, of, reason }) => {
            orders::lift_latch(global, &service, &trigger, of, &reason).await
        }
        Command::Sets(args) => match args.command.unwrap_or(SetsCommand::List) {
            SetsCommand::List => sets::list(global).await,
            SetsCommand::Show { set } => sets::show(global, &set).await,
        },
        Command::Runs(RunsCommand::List { service }) => runs::list(global, service.as_ref()).await,
        Command::Review(ReviewCommand::Close(args)) => orders::about(global, "close-review", &args).await,
        Command::Runs(RunsCommand::Stop(args)) => orders::about(global, "stop-run", &args).await,
        Command::Signals(SignalsCommand::SetAside { service }) => {
            signals::set_aside(global, service.as_ref()).await
        }
        Command::Signals(SignalsCommand::Unrouted { limit }) => signals::unrouted(global, limit).await,
        Command::Policy(command) => policies::run(global, command).await,
        Command::Completions { shell } => shells::completions(shell),
        Command::Man { dir } => shells::man(&dir),
        Command::Backtest(args) => backtest::run(global, &args).await,
        Command::Data(command) => data::run(global, command).await,
        Command::Key(KeyCommand::New { file }) => keys::new(&file),
        Command::ExaminePolicy => examine_policy(),
    }
}

async fn serve_host(global: &Global, log: LogFormat) -> Outcome {
    telemetry::start(match log {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    });
    of_this_machine(global, "serve")?;
    let options = serve::ServeOptions { config: global.config_file().to_owned() };
    serve::serve(&options).await.map_err(reach::host_failure)?;
    Ok(Page::done("", &serde_json::json!({ "stopped": true })))
}

/// Writes a configuration, asking for what is not found where a person is there, and looks at it as `ripcord check` does.
async fn init_here(global: &Global, args: crate::cli::InitArgs) -> Outcome {
    of_this_machine(global, "init")?;
    let folder = global.config_file().parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(std::path::Path::new(".")).to_owned();
    let asks = !args.no_questions && global.form() == output::Form::Text && std::io::stdin().is_terminal();
    let named = init::Named {
        model: args.model,
        server: args.server,
        registry: args.registry,
        model_directory: args.model_directory,
        prometheus: args.prometheus,
        golden: args.golden,
        request_log: args.request_log,
    };
    let mut options =
        init::InitOptions { folder, places: init::Places::default(), named, service: args.service };
    let failed = |error: init::InitError| Failure::of(Exit::Usage, error);
    if asks {
        init::questions::ask_for_missing(global.color, &mut options).await?;
    }
    let done = init::init(&options).await.map_err(failed)?;
    let config = done.file.clone();
    let report =
        check::check(&check::CheckOptions { config, alert: None, scope: check::Scope::Everything }).await;
    let next = match report.exit_code() {
        0 => {
            text!("next: read {}, then `ripcord serve --config {}`", done.file.display(), done.file.display())
        }
        _ => text!("next: mend what is wrong, then `ripcord check --config {}`", done.file.display()),
    };
    let text = Text::joined([done.text().trimmed(), report.text_of_concerns(), next], "\n\n");
    let json = serde_json::json!({
        "file": done.file, "written": done.written, "missing": done.chosen.missing(), "check": report,
    });
    Ok(Page::new(exit_of(&report), text, &json))
}

fn exit_of(report: &check::Report) -> Exit {
    match report.exit_code() {
        0 => Exit::Done,
        1 => Exit::Failed,
        _ => Exit::Usage,
    }
}

async fn check_host(global: &Global, args: crate::cli::CheckArgs) -> Outcome {
    of_this_machine(global, "check")?;
    let scope = match (args.offline, args.now) {
        (true, _) => check::Scope::Files,
        (false, true) => check::Scope::Triggers,
        (false, false) => check::Scope::Everything,
    };
    let options = check::CheckOptions { config: global.config_file().to_owned(), alert: args.alert, scope };
    let report = check::check(&options).await;
    Ok(Page::new(exit_of(&report), report.text(), &report))
}

/// Refuses a command about this machine's own files that names another host: who gives an address means that host.
fn of_this_machine(global: &Global, command: &str) -> Result<(), Failure> {
    if global.host.is_none() && global.context.is_none() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "the command `{command}` is about the files of this machine, not about a host elsewhere"
    ))
    .help("leave out `--host` and `--context`, or unset `RIPCORD_HOST` and `RIPCORD_CONTEXT`"))
}

/// The example stands for somebody else's program: it prints for itself.
#[cfg(feature = "demo")]
async fn example(run: impl Future<Output = Result<(), fraud::Error>>) -> Outcome {
    match run.await {
        Ok(()) => Ok(Page::done("", &serde_json::Value::Null)),
        Err(error) => Err(Failure::failed(error.with_causes())),
    }
}

/// What goes on record; the host takes no empty reason.
fn reason(given: &str) -> String {
    if given.trim().is_empty() { "no reason was given".to_owned() } else { given.to_owned() }
}
