//! Web pages about runs, served by the program itself: no file of them is loaded from elsewhere.

#![forbid(unsafe_code)]
