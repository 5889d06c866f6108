/**
 * The header of the PROXY protocol, versions 1 and 2: what a proxy says, before the first byte of a connection, of who
 * connected to it [haproxy.org, proxy-protocol.txt, section 2]. Strict, and in pieces of any size.
 */
import { isIPv4, isIPv6 } from 'node:net'

/** Section 2.1: the longest line, with its CRLF. */
export const V1_BYTES_MAX = 107
/** Section 2.2: signature, version and command, family, length. */
const V2_FIXED_BYTES = 16
/** Addresses and TLVs of version 2. The protocol allows 65,535; a certificate's name and some ids fit in far less. */
export const V2_BODY_BYTES_MAX = 2048

const V1_SIGNATURE = Buffer.from('PROXY ')
const V2_SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a])

/** Low and high half of the bytes 13 and 14 of version 2. */
const COMMAND = { local: 0x20, proxy: 0x21 } as const
const FAMILY = { unspecified: 0x00, tcp4: 0x11, tcp6: 0x21 } as const
const TCP4_BYTES = 12
const TCP6_BYTES = 36
const TLV_HEAD_BYTES = 3
const PORT_MAX = 65_535

/** Bytes that are no header of the PROXY protocol, or one that we do not take. */
export class ProxyHeaderError extends Error {
  override readonly name = 'ProxyHeaderError'
}

type ProxyHeader = {
  /** Address of the client; null when the proxy speaks for itself (LOCAL) or does not know (UNKNOWN). */
  readonly address: string | null
  /** What came after the header: the first bytes of the client. */
  readonly rest: Buffer
}

/** Reads one header. After its end or an error it must not be given more. */
export class ProxyHeaderReader {
  #bytes: Buffer = Buffer.alloc(0)

  /**
   * Takes the next bytes of the connection; null as long as the header may still become one. Throws
   * {@link ProxyHeaderError} at the first byte that cannot belong to a header.
   */
  push(chunk: Buffer): ProxyHeader | null {
    // A header that is not complete has less than V2_FIXED_BYTES + V2_BODY_BYTES_MAX bytes, so this copies little.
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    const bytes = this.#bytes
    if (bytes.length === 0) return null
    const isV2 = bytes[0] === V2_SIGNATURE[0]
    assertBegins(bytes, isV2 ? V2_SIGNATURE : V1_SIGNATURE)
    return isV2 ? readV2(bytes) : readV1(bytes)
  }
}

function assertBegins(bytes: Buffer, signature: Buffer): void {
  const length = Math.min(bytes.length, signature.length)
  if (bytes.compare(signature, 0, length, 0, length) !== 0) {
    throw new ProxyHeaderError('the connection does not begin with a PROXY protocol header')
  }
}

// ---------------------------------------------------------------- version 1

function readV1(bytes: Buffer): ProxyHeader | null {
  const end = bytes.subarray(0, V1_BYTES_MAX).indexOf('\r\n')
  if (end === -1) {
    if (bytes.length >= V1_BYTES_MAX) {
      throw new ProxyHeaderError(`version 1: no end of the line in ${V1_BYTES_MAX} bytes`)
    }
    return null
  }
  const line = bytes.toString('latin1', V1_SIGNATURE.length, end)
  return { address: readV1Address(line), rest: bytes.subarray(end + 2) }
}

/** `TCP4 source destination sourcePort destinationPort`, or `UNKNOWN` with anything after it. */
function readV1Address(line: string): string | null {
  if (line === 'UNKNOWN' || line.startsWith('UNKNOWN ')) return null
  const [family, source = '', destination = '', ...ports] = line.split(' ')
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isPlainIPv6 : null
  if (isAddress === null) throw new ProxyHeaderError('version 1: the family is none of TCP4, TCP6, UNKNOWN')
  if (!isAddress(source) || !isAddress(destination)) {
    throw new ProxyHeaderError(`version 1: an address is not of ${family}`)
  }
  if (ports.length !== 2 || !ports.every(isPort)) throw new ProxyHeaderError('version 1: a port is not right')
  return source
}

/** Node takes a zone (`fe80::1%eth0`), which has no meaning on another machine. */
function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%')
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= PORT_MAX
}

// ---------------------------------------------------------------- version 2

function readV2(bytes: Buffer): ProxyHeader | null {
  if (bytes.length < V2_FIXED_BYTES) return null
  const command = bytes[12]
  if (command !== COMMAND.local && command !== COMMAND.proxy) {
    throw new ProxyHeaderError('version 2: another version, or a command that is neither LOCAL nor PROXY')
  }
  const length = bytes.readUInt16BE(14)
  if (length > V2_BODY_BYTES_MAX) {
    throw new ProxyHeaderError(
      `version 2: ${length} bytes of addresses and TLVs, more than ${V2_BODY_BYTES_MAX}`,
    )
  }
  const end = V2_FIXED_BYTES + length
  if (bytes.length < end) return null
  const body = bytes.subarray(V2_FIXED_BYTES, end)
  // Of a LOCAL connection all else must be ignored: it is the proxy's own, a health check.
  const address = command === COMMAND.local ? null : readV2Address(bytes[13]!, body)
  return { address, rest: bytes.subarray(end) }
}

function readV2Address(family: number, body: Buffer): string | null {
  // The receiver must ignore what follows.
  if (family === FAMILY.unspecified) return null
  if (family !== FAMILY.tcp4 && family !== FAMILY.tcp6) {
    throw new ProxyHeaderError('version 2: the family is none of TCP over IPv4, TCP over IPv6, unspecified')
  }
  const addressBytes = family === FAMILY.tcp4 ? TCP4_BYTES : TCP6_BYTES
  if (body.length < addressBytes) throw new ProxyHeaderError('version 2: the addresses are cut short')
  assertTlvs(body.subarray(addressBytes))
  return family === FAMILY.tcp4 ? body.subarray(0, 4).join('.') : formatIPv6(body)
}

/** Type-length-values are skipped, but they must fill the header exactly. */
function assertTlvs(bytes: Buffer): void {
  let at = 0
  while (at < bytes.length) {
    if (at + TLV_HEAD_BYTES > bytes.length) throw new ProxyHeaderError('version 2: a TLV is cut short')
    at += TLV_HEAD_BYTES + bytes.readUInt16BE(at + 1)
  }
  if (at !== bytes.length) throw new ProxyHeaderError('version 2: a TLV is longer than the header')
}

const MAPPED_IPV4_GROUPS = [0, 0, 0, 0, 0, 0xffff]

/** The eight groups in full, or the IPv4 address that they carry; `addressKey` reads both. */
function formatIPv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2))
  if (MAPPED_IPV4_GROUPS.every((group, index) => groups[index] === group))
    return bytes.subarray(12, 16).join('.')
  return groups.map((group) => group.toString(16)).join(':')
}
