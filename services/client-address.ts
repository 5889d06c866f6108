/** Who a request is from, when proxies stand in between: `x-forwarded-for` is believed as far as the trust reaches. */
import { BlockList, isIP, isIPv6 } from 'node:net'

/** Hops of `x-forwarded-for` that are looked at, from the right; more proxies stand in no row. */
const HOPS_MAX = 32

/** Whether an address is one of our proxies. */
export type IsTrusted = (address: string) => boolean

/** Trusts the given addresses and networks (`10.0.0.0/8`); an IPv4 address may come as `::ffff:10.0.0.1`. */
export function trustNetworks(networks: readonly string[]): IsTrusted {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return (address) => {
    const family = isIP(address)
    // A mapped IPv4 address is compared with IPv4 rules by the list itself.
    return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
}

/**
 * The rightmost address that no trusted proxy has: each proxy appends whom it was called by, so everything to the left
 * of the first stranger may be invented. A hop that is no address ends the search at the proxy that wrote it.
 *
 * @param peer address of the socket
 * @param forwardedFor the header `x-forwarded-for`, if there is one
 */
export function clientAddress(
  peer: string,
  forwardedFor: string | string[] | undefined,
  isTrusted: IsTrusted,
): string {
  if (forwardedFor === undefined || !isTrusted(peer)) return peer
  const hops = String(forwardedFor).split(',').reverse().slice(0, HOPS_MAX)
  let client = peer
  for (const hop of hops) {
    const address = bareAddress(hop.trim())
    if (address === null) return client
    client = address
    if (!isTrusted(client)) return client
  }
  return client
}

/** Some proxies write a port: `192.0.2.1:5060`, `[2001:db8::1]:5060`. */
function bareAddress(hop: string): string | null {
  const text = /^\[([^\]]+)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop
  return isIP(text) === 0 ? null : text
}
