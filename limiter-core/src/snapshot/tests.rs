//! Images that are whole, and images that are not.
