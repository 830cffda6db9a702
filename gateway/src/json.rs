//! A JSON lexer over bytes that knows where things stand: it finds, checks and skips, and builds nothing.
