/** Bounds that are part of the wire contract. Bounds that an operator may set live in the configuration. */

/** Characters of a send's `id`, of a call's `ref` and of a `requestId`. */
export const CLIENT_ID_CHARS_MAX = 64
/** Nesting of objects and arrays in a payload; the payload's own object is level 1. */
export const JSON_DEPTH_MAX = 16
/** Characters of a message type such as `text` or `custom:poll`. */
export const TYPE_CHARS_MAX = 64
/** Entries of one page of history. */
export const PAGE_ENTRIES_MAX = 200
export const PAGE_ENTRIES_DEFAULT = 50
/** Users named by one call. */
export const CALL_USERS_MAX = 500
/** Items of one page of conversations or members. */
export const LIST_ITEMS_MAX = 500
export const LIST_ITEMS_DEFAULT = 100
