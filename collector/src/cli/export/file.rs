//! Files that are there whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file that gets its name when it is whole. Until then it has that name with `.part` behind it.
#[derive(Debug)]
pub(in crate::cli) struct NewFile {
    path: PathBuf,
    part: PathBuf,
    writer: Option<BufWriter<File>>,
}

impl NewFile {
    /// Begins the file.
    pub(in crate::cli) fn create(path: &Path) -> anyhow::Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).with_context(|| format!("`{}` cannot be written", part.display()))?;
        Ok(Self { path: path.to_owned(), part, writer: Some(BufWriter::new(file)) })
    }

    /// Gives the file its name, once it is on disk.
    pub(in crate::cli) fn keep(mut self) -> anyhow::Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let named = || -> std::io::Result<()> {
            let file = writer.into_inner().map_err(std::io::IntoInnerError::into_error)?;
            file.sync_all()?;
            std::fs::rename(&self.part, &self.path)
        };
        named().with_context(|| format!("`{}` cannot be written", self.path.display()))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer.as_mut().map_or(Ok(0), |writer| writer.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // What is left of it is of no use; where it cannot be removed, its name says so.
            let _ = std::fs::remove_file(&self.part);
        }
    }
}
