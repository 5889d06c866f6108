/** JSON text of the entries in one answer; an answer has at least one entry, whatever its size. */
export const ANSWER_BYTES_MAX = 1024 * 1024
