/**
 * The key under which an entry is found by its author and the author's id: 53 bits, as many as a number holds.
 *
 * A number in an index costs a third of the text it stands for, and random ids dirty a third of the pages. Two pairs
 * may share a key; whoever looks compares account and id as well.
 */
const PRIME_A = 2654435761
const PRIME_B = 1597334677
const LOW_32 = 4294967296
const HIGH_BITS = 0x1fffff

/** Of an account's number and an id; the same for ever, since it is stored. */
export function idHash(account: number, id: string): number {
  let a = 0xdeadbeef ^ account
  let b = 0x41c6ce57 ^ Math.imul(account, PRIME_B)
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i)
    a = Math.imul(a ^ unit, PRIME_A)
    b = Math.imul(b ^ unit, PRIME_B)
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909)
  return LOW_32 * (HIGH_BITS & b) + (a >>> 0)
}
