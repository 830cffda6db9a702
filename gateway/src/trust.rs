//! Audits beside the requests: what is known of an answer that was drawn comes in when its last byte is
//! out; the node's commitment is opened, others score the answer, `audit` judges, and the verdict goes into
//! the books. No request waits for any of it; what cannot be judged is `none`, and nothing of a prompt or an
//! answer outlives the audit.

mod opened;
mod scorers;
