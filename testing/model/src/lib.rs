//! A naive executable reading of the specification.
