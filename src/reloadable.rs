//! A value that is read often and replaced seldom.

use std::sync::{Arc, PoisonError, RwLock};

/// A value that can be replaced while others use it; they keep the one that they have.
#[derive(Debug, Default)]
pub struct Reloadable<T>(RwLock<Arc<T>>);

impl<T> Reloadable<T> {
    /// Holds `value` at first.
    pub fn new(value: T) -> Reloadable<T> {
        Reloadable(RwLock::new(Arc::new(value)))
    }

    /// Returns the current value.
    pub fn get(&self) -> Arc<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the value.
    pub fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_uses_a_value_keeps_it() {
        let value = Reloadable::new(1);
        let before = value.get();
        value.set(2);
        assert_eq!((*before, *value.get()), (1, 2));
    }
}
