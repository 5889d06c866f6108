/** Under which key an address is counted. */
import { isIPv6 } from 'node:net'

const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/**
 * An IPv4 address counts as itself; of an IPv6 address the first 64 bits do, because a customer is given at least
 * that many addresses [RFC 6177]. `::ffff:192.0.2.1` is `192.0.2.1`.
 */
export function addressKey(address: string): string {
  const mapped = MAPPED_IPV4.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  const bare = address.split('%')[0]!
  return isIPv6(bare) ? `${firstGroups(bare).join(':')}::/64` : address
}

/** The first four of the eight groups, with `::` written out and no leading zeros. */
function firstGroups(address: string): string[] {
  const [left = '', right] = address.split('::')
  const before = left === '' ? [] : left.split(':')
  const after = right === undefined || right === '' ? [] : right.split(':')
  // A dotted quad at the end stands for two groups.
  const length = before.length + after.length + (address.includes('.') ? 1 : 0)
  const zeros = right === undefined ? 0 : 8 - length
  return [...before, ...Array<string>(zeros).fill('0'), ...after]
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
}
