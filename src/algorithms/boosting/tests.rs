//! Fitting as a whole.

use super::*;
