/**
 * `new` waits for a CONNECT; `opening`: token and session are looked up, and what the client sends meanwhile waits;
 * then `open` and `closed`.
 */
export type ConnectionState = 'new' | 'opening' | 'open' | 'closed'
