//! What the planner promises, one promise a file.

mod absurd;
mod ends;
mod even_enough;
mod few;
mod figures;
mod least;
mod leaving;
mod order;
mod placed;
mod sim;
