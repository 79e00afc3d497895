//! Rules of answers.
