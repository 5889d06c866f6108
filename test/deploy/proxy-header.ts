/** Headers of the PROXY protocol as a test writes them; nothing of the server's reader takes part. */

const V2 = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

export function headerV1(source: string): Buffer {
  return Buffer.from(`PROXY TCP4 ${source} 127.0.0.1 4711 1883\r\n`)
}

export function headerV2(source: string): Buffer {
  const addresses = Buffer.from([...source.split('.').map(Number), 127, 0, 0, 1, 0x12, 0x67, 0x07, 0x5b])
  // One TLV: a unique id (PP2_TYPE_UNIQUE_ID).
  const tlv = Buffer.from([0x05, 0x00, 0x02, 0x61, 0x62])
  return Buffer.concat([V2, Buffer.from([0x21, 0x11, 0, addresses.length + tlv.length]), addresses, tlv])
}

/** The proxy's own connection. */
export const HEADER_LOCAL = Buffer.concat([V2, Buffer.from([0x20, 0, 0, 0])])
