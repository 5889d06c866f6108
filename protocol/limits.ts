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
/** Types that a page of history is narrowed to. */
export const PAGE_TYPES_MAX = 10
/** Messages of one log that one call names. */
export const CALL_SEQS_MAX = 100
/** UTF-8 bytes of a reaction. */
export const REACTION_BYTES_MAX = 32
/** Different reactions of one message, and of one account to one message. */
export const REACTIONS_PER_MESSAGE_MAX = 20
export const REACTIONS_PER_ACCOUNT_MAX = 5
/** Pinned messages of one conversation. */
export const PINS_MAX = 50
/** Messages found by one search. */
export const SEARCH_ITEMS_MAX = 100
export const SEARCH_ITEMS_DEFAULT = 20
export const SEARCH_QUERY_CHARS_MAX = 128
/** Users named by one call. */
export const CALL_USERS_MAX = 500
/** Items of one page of members, contacts or changes. */
export const LIST_ITEMS_MAX = 500
export const LIST_ITEMS_DEFAULT = 100
/** Conversations of one page: each page looks at all of them, so that a long list comes whole with a single call. */
export const CONVERSATIONS_MAX = 1000
/** UTF-8 bytes of the text of a message. */
export const TEXT_BYTES_MAX = 16 * 1024
/** Users that one message mentions, and messages that one message forwards. */
export const MENTIONS_MAX = 100
export const FORWARDED_MAX = 100
/** Files that one message carries, those of forwarded messages among them. */
export const MEDIA_PER_MESSAGE_MAX = 100
/** How long a message that destroys itself may stay, ms. */
export const EXPIRE_MS_MIN = 1000
export const EXPIRE_MS_MAX = 365 * 24 * 60 * 60 * 1000
/** People whom one call of presence names. */
export const PRESENCE_UIDS_MAX = 200
/** How long changes are told to who watches people, or messages of a room that keeps none, ms. */
export const PRESENCE_LEASE_MS_MIN = 1000
export const PRESENCE_LEASE_MS_DEFAULT = 5 * 60 * 1000
export const PRESENCE_LEASE_MS_MAX = 10 * 60 * 1000
/** Messages that one account has planned for later, and how far ahead, ms. */
export const SCHEDULED_MAX = 100
export const SCHEDULE_AHEAD_MS_MAX = 366 * 24 * 60 * 60 * 1000
/** Conversations that one call forwards to, and messages that it makes there in all. */
export const FORWARD_TARGETS_MAX = 20
export const FORWARD_COPIES_MAX = 200
