//! What `ripcord init` asks a person for: what it did not find, one line each, and an empty line leaves it out.

use super::{InitError, InitOptions, Named, choose};
use crate::commands::approval;
use crate::output::{Color, Exit, Failure, tell, text};

/// Asks until nothing is missing or every question was left out.
pub(crate) async fn ask_for_missing(color: Color, options: &mut InitOptions) -> Result<(), Failure> {
    let mut asked = [false; 4];
    let mut last = None;
    loop {
        let chosen = match (choose(options).await, last) {
            (Ok(chosen), _) => Some(chosen),
            (Err(InitError::Several(_)), _) if options.named.model.is_none() && !asked[0] => None,
            // The answer was wrong: the same question again.
            (Err(error), Some(index)) => {
                tell(color, &text!("{}", error));
                *place(&mut options.named, index) = None;
                asked[index] = false;
                last = None;
                continue;
            }
            (Err(error), None) => return Err(Failure::of(Exit::Usage, error)),
        };
        let found = chosen.as_ref().map(|chosen| &chosen.found);
        let named = &options.named;
        let (question, index) = match found {
            None => ("several models are served; which one?", 0),
            Some(found) if found.models.is_empty() && named.server.is_none() && !asked[1] => {
                ("no model server was found; its address, such as http://127.0.0.1:8080?", 1)
            }
            Some(found) if found.registry.is_none() && named.registry.is_none() && !asked[2] => {
                ("no registry was found; a folder of versions, or MLflow's address?", 2)
            }
            Some(found) if found.model_folder.is_none() && named.model_directory.is_none() && !asked[3] => {
                ("from which folder does the server read its model?", 3)
            }
            Some(_) => return Ok(()),
        };
        let answer = approval::ask_for(color, &text!("{} (empty: leave it out) ", question)).await?;
        asked[index] = true;
        last = Some(index).filter(|_| !answer.is_empty());
        *place(&mut options.named, index) = Some(answer).filter(|answer| !answer.is_empty());
    }
}

/// What the question of that number is about.
fn place(named: &mut Named, index: usize) -> &mut Option<String> {
    match index {
        0 => &mut named.model,
        1 => &mut named.server,
        2 => &mut named.registry,
        _ => &mut named.model_directory,
    }
}
