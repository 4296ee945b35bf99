//! Signing in with a wallet: a message in a fixed layout (EIP-4361 and its likeness for Solana), signed by the wallet.

mod ethereum;
mod message;
mod solana;

pub(crate) use message::{Chain, Message};
