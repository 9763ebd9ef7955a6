//! What the parts of the template's environment share.

use minijinja::{Error, ErrorKind, Value, value::ValueIter};

/// An error of a function, filter or method.
pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// What a loop goes through. Python has no items in `none`.
pub(super) fn items(value: Value) -> Result<ValueIter, Error> {
    if value.is_none() {
        return Err(invalid("none has no items to loop over; test for it first, as in `if tools`"));
    }
    value.try_iter()
}
