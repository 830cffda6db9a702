//! Chat completions through a whole gateway, in this process, over real sockets: scripted providers
//! (the shipped provider server) and raw ones that write bytes of our choice.

mod answers;
mod cancel;
mod fail_over;
mod harness;
mod mid_stream;
mod wire;
