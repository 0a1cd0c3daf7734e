//! Reading recipes: those inside the program, or a folder of own ones.

use std::io;
use std::path::{Path, PathBuf};

use crate::application::recipes::{
    MAX_RECIPE_BYTES, RecipeFault, RecipeFaults, RecipeFile, Recipes,
};

/// The most files of a folder that are looked at.
const MAX_FILES: usize = 256;

/// Why there are no recipes.
#[derive(Debug, thiserror::Error)]
pub enum RecipesError {
    /// The folder or a file in it cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something in them is wrong.
    #[error(transparent)]
    Faulty(#[from] RecipeFaults),
}

/// The recipes of `folder`, or the embedded ones.
///
/// # Errors
/// Every fault with its file and line.
pub fn recipes(folder: Option<&Path>) -> Result<Recipes, RecipesError> {
    let Some(folder) = folder else {
        return Recipes::embedded().map_err(|faults| in_folder(Path::new("models"), faults));
    };
    let files = read_folder(folder)?;
    Recipes::parse(&files).map_err(|faults| in_folder(folder, faults))
}

/// Faults with the path of the file instead of its name.
fn in_folder(folder: &Path, RecipeFaults(faults): RecipeFaults) -> RecipesError {
    let path = |fault: RecipeFault| RecipeFault {
        file: folder.join(&fault.file).display().to_string(),
        ..fault
    };
    RecipeFaults(faults.into_iter().map(path).collect()).into()
}

fn read_folder(folder: &Path) -> Result<Vec<RecipeFile>, RecipesError> {
    let unreadable = |path: &Path, source| RecipesError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| unreadable(folder, e))? {
        let path = entry.map_err(|e| unreadable(folder, e))?.path();
        let is_recipe = path.extension().is_some_and(|e| e == "toml" || e == "md");
        if is_recipe {
            paths.push(path);
        }
    }
    // the order of a folder is no order
    paths.sort();
    if paths.len() > MAX_FILES {
        let message = format!("{} files; at most {MAX_FILES} are read", paths.len());
        return Err(unreadable(folder, io::Error::other(message)));
    }
    let mut files = Vec::new();
    for path in paths {
        let text = read_file(&path).map_err(|e| unreadable(&path, e))?;
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        files.push(RecipeFile {
            name: name.unwrap_or_default(),
            text,
        });
    }
    Ok(files)
}

fn read_file(path: &Path) -> io::Result<String> {
    if std::fs::metadata(path)?.len() > MAX_RECIPE_BYTES {
        let message = format!("is larger than {MAX_RECIPE_BYTES} bytes");
        return Err(io::Error::other(message));
    }
    std::fs::read_to_string(path)
}
