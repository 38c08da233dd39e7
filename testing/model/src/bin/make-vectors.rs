//! Writes the project's own vectors to `testing/vectors`, or to the folder that is named.

use std::path::PathBuf;
use std::{env, fs, io};

use limiter_model::generate::vectors::{VECTORS, Vector, folder};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).map_or_else(folder, PathBuf::from);
    fs::create_dir_all(&folder)?;
    for (name, profile) in VECTORS {
        let Vector { trace, decisions } = Vector::make(profile);
        fs::write(folder.join(format!("{name}.trace.jsonl")), trace)?;
        fs::write(folder.join(format!("{name}.decisions.jsonl")), decisions)?;
    }
    Ok(())
}
