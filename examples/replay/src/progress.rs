//! A progress bar, for a person who waits for something large.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// Shows how far a step has come, once it is known to be large.
#[derive(Debug)]
pub struct Progress {
    step: Option<Step>,
    bar: Option<ProgressBar>,
}

/// A step that may take long.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What is done.
    pub verb: &'static str,
    /// What is counted.
    pub unit: &'static str,
    /// How many there are, if that is known beforehand.
    pub total: Option<u64>,
    /// From how many on it is worth a bar.
    pub large_from: u64,
}

impl Progress {
    /// Watches a step; shows nothing if standard error is no terminal.
    #[must_use]
    pub fn of(step: Step) -> Self {
        Self {
            step: io::stderr().is_terminal().then_some(step),
            bar: None,
        }
    }

    /// Shows nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            step: None,
            bar: None,
        }
    }

    /// Takes note that so many are done.
    pub fn at(&mut self, done: u64) {
        if let Some(step) = self
            .step
            .take_if(|step| step.total.unwrap_or(done) >= step.large_from)
        {
            self.bar = Some(step.bar());
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Takes the bar off the screen.
    pub fn done(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Step {
    fn bar(&self) -> ProgressBar {
        let (bar, template) = match self.total {
            Some(total) => (
                ProgressBar::new(total),
                "{msg} [{bar:30}] {percent} %, {eta} left",
            ),
            None => (ProgressBar::new_spinner(), "{spinner} {msg} {human_pos}"),
        };
        let style = ProgressStyle::with_template(template);
        let bar = bar.with_message(match self.total {
            Some(_) => self.verb.to_owned(),
            None => format!("{} {}:", self.verb, self.unit),
        });
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(total: Option<u64>) -> Progress {
        let step = Step {
            verb: "reading",
            unit: "bytes",
            total,
            large_from: 100,
        };
        Progress {
            step: Some(step),
            bar: None,
        }
    }

    #[test]
    fn only_what_is_large_has_a_bar() {
        let mut small = progress(Some(99));
        small.at(99);
        assert!(small.bar.is_none());
        let mut large = progress(Some(100));
        large.at(1);
        assert_eq!(large.bar.map(|bar| bar.position()), Some(1));
        let mut endless = progress(None);
        endless.at(99);
        assert!(endless.bar.is_none());
        endless.at(100);
        assert_eq!(endless.bar.map(|bar| bar.position()), Some(100));
    }

    #[test]
    fn every_template_is_well_formed() {
        for template in [
            "{msg} [{bar:30}] {percent} %, {eta} left",
            "{spinner} {msg} {human_pos}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
