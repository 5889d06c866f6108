/** The header of the PROXY protocol: every valid one is read in any pieces, everything else is refused at once. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addressKey } from '../../services/address-key.ts'
import { ProxyHeaderError, ProxyHeaderReader, V1_BYTES_MAX, V2_BODY_BYTES_MAX } from './proxy-protocol.ts'

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

/** A header of version 2; `length` as said, which may be a lie. */
function buildV2(commandByte: number, familyByte: number, body: Buffer, length = body.length): Buffer {
  const fixed = Buffer.from([commandByte, familyByte, length >> 8, length & 0xff])
  return Buffer.concat([SIGNATURE, fixed, body])
}

function tcp4(source: readonly number[], tlvs: Buffer = Buffer.alloc(0)): Buffer {
  return buildV2(0x21, 0x11, Buffer.concat([Buffer.from([...source, 127, 0, 0, 1, 4, 210, 7, 91]), tlvs]))
}

function tcp6(source: Buffer): Buffer {
  return buildV2(0x21, 0x21, Buffer.concat([source, Buffer.alloc(16), Buffer.from([4, 210, 7, 91])]))
}

function tlv(type: number, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 0xff]), value])
}

/** Feeds the bytes in pieces that end at `cuts`; the header, or null when it is not complete. */
function read(bytes: Buffer, cuts: readonly number[] = []): { address: string | null; rest: string } | null {
  const reader = new ProxyHeaderReader()
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1))), bytes.length].sort((a, b) => a - b)
  let start = 0
  for (const end of ends) {
    const header = reader.push(bytes.subarray(start, end))
    start = end
    if (header === null) continue
    const rest = Buffer.concat([header.rest, bytes.subarray(start)]).toString('latin1')
    return { address: header.address, rest }
  }
  return null
}

const readBytewise = (bytes: Buffer) => read(bytes, [...bytes.keys()])
const octets = fc.tuple(...([1, 2, 3, 4] as const).map(() => fc.nat(255)))
const cuts = fc.array(fc.nat(400), { maxLength: 20 })
const rest = fc.string({ unit: 'binary-ascii', maxLength: 60 })

describe('what a proxy writes is read, in any pieces', () => {
  test('version 2 over IPv4, with TLVs, which are skipped', () => {
    const tlvs = fc.array(fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 90 })), { maxLength: 5 })
    fc.assert(
      fc.property(octets, tlvs, rest, cuts, (source, extra, after, at) => {
        const header = tcp4(source, Buffer.concat(extra.map(([type, value]) => tlv(type, value))))
        const bytes = Buffer.concat([header, Buffer.from(after, 'latin1')])
        expect(read(bytes, at)).toEqual({ address: source.join('.'), rest: after })
      }),
    )
  })

  test('version 2 over IPv6, counted under the same key as the address in short form', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), cuts, (source, at) => {
        const { address } = read(tcp6(Buffer.from(source)), at)!
        const groups = Array.from({ length: 8 }, (_, i) =>
          Buffer.from(source)
            .readUInt16BE(i * 2)
            .toString(16),
        )
        const short = new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
        expect(addressKey(address!)).toBe(addressKey(short))
      }),
    )
    const mapped = Buffer.from('00000000000000000000ffffc0000201', 'hex')
    expect(read(tcp6(mapped))).toEqual({ address: '192.0.2.1', rest: '' })
  })

  test('version 1 over IPv4 and IPv6', () => {
    fc.assert(
      fc.property(octets, fc.nat(65_535), rest, cuts, (source, port, after, at) => {
        const line = `PROXY TCP4 ${source.join('.')} 127.0.0.1 ${port} 1883\r\n`
        expect(read(Buffer.from(line + after, 'latin1'), at)).toEqual({
          address: source.join('.'),
          rest: after,
        })
      }),
    )
    expect(readBytewise(Buffer.from('PROXY TCP6 2001:db8::7 ::1 1 65535\r\nx'))).toEqual({
      address: '2001:db8::7',
      rest: 'x',
    })
  })

  test('a proxy that speaks for itself, or does not know, gives no address', () => {
    expect(readBytewise(buildV2(0x20, 0x00, Buffer.alloc(0)))).toEqual({ address: null, rest: '' })
    // Whatever a LOCAL header says of addresses must be ignored.
    expect(readBytewise(buildV2(0x20, 0x11, Buffer.alloc(12, 9)))).toEqual({ address: null, rest: '' })
    expect(readBytewise(buildV2(0x21, 0x00, Buffer.from('anything')))).toEqual({ address: null, rest: '' })
    expect(read(Buffer.from('PROXY UNKNOWN\r\nx'))).toEqual({ address: null, rest: 'x' })
    expect(read(Buffer.from('PROXY UNKNOWN ffff:f...f:ffff x 65535\r\n'))).toEqual({
      address: null,
      rest: '',
    })
  })

  test('the longest headers are read: a line of 107 bytes, 2048 bytes of addresses and TLVs', () => {
    const groups = Array(8).fill('ffff').join(':')
    const line = `PROXY UNKNOWN ${groups} ${groups} 65535 65535\r\n`
    expect(line).toHaveLength(V1_BYTES_MAX)
    expect(readBytewise(Buffer.from(line))?.address).toBeNull()
    const full = tcp4([192, 0, 2, 1], tlv(0x20, new Uint8Array(V2_BODY_BYTES_MAX - 12 - 3)))
    expect(readBytewise(full)).toEqual({ address: '192.0.2.1', rest: '' })
  })

  test('a header without its last byte is awaited, never guessed', () => {
    for (const whole of [
      tcp4([1, 2, 3, 4], tlv(4, Buffer.from('no-op'))),
      Buffer.from('PROXY UNKNOWN\r\n'),
    ]) {
      expect(readBytewise(whole.subarray(0, -1))).toBeNull()
    }
  })
})

const MALFORMED: [what: string, bytes: Buffer][] = [
  ['MQTT', Buffer.from([0x10, 0x0c])],
  ['a TLS hello', Buffer.from([0x16, 0x03])],
  ['HTTP', Buffer.from('POST /')],
  ['lower case', Buffer.from('proxy')],
  ['a method that begins alike', Buffer.from('PROXYING')],
  ['a signature that breaks off', Buffer.from('\r\n\r\n\r')],
  ['version 1 without a family', Buffer.from('PROXY \r\n')],
  ['version 1 over UDP', Buffer.from('PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n')],
  ['version 1 with an IPv6 address as TCP4', Buffer.from('PROXY TCP4 ::1 ::1 1 2\r\n')],
  ['version 1 with an IPv4 address as TCP6', Buffer.from('PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n')],
  ['version 1 with a zone', Buffer.from('PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n')],
  ['version 1 with an octet above 255', Buffer.from('PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n')],
  ['version 1 with two spaces', Buffer.from('PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n')],
  ['version 1 with a leading zero', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n')],
  ['version 1 with a port above 65535', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n')],
  ['version 1 without ports', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4\r\n')],
  ['version 1 with too many words', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n')],
  ['version 1 with a bare line feed before its end', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n')],
  ['a line without an end', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(V1_BYTES_MAX)}`)],
  ['a line that ends one byte late', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(V1_BYTES_MAX - 15)}\r\n`)],
  ['version 3', buildV2(0x31, 0x11, Buffer.alloc(12))],
  ['an unknown command', buildV2(0x22, 0x11, Buffer.alloc(12))],
  ['UDP', buildV2(0x21, 0x12, Buffer.alloc(12))],
  ['a Unix socket', buildV2(0x21, 0x31, Buffer.alloc(216))],
  ['addresses cut short', buildV2(0x21, 0x11, Buffer.alloc(11))],
  ['IPv6 addresses cut short', buildV2(0x21, 0x21, Buffer.alloc(35))],
  ['a TLV cut short', tcp4([1, 2, 3, 4], Buffer.from([4, 0]))],
  ['a TLV longer than the header', tcp4([1, 2, 3, 4], Buffer.from([4, 0, 2, 9]))],
  ['more than the bound', buildV2(0x21, 0x11, Buffer.alloc(0), V2_BODY_BYTES_MAX + 1)],
]

describe('what is no header is refused', () => {
  test.each(MALFORMED)('%s, whole and byte by byte', (_, bytes) => {
    expect(() => read(bytes)).toThrow(ProxyHeaderError)
    expect(() => readBytewise(bytes)).toThrow(ProxyHeaderError)
  })

  test('bytes of chance end as a header, an error or a wait, and the pieces do not matter', () => {
    const outcome = (bytes: Buffer, at: number[]): unknown => {
      try {
        return read(bytes, at)
      } catch (error) {
        expect(error).toBeInstanceOf(ProxyHeaderError)
        return 'refused'
      }
    }
    const start = fc.constantFrom(
      Buffer.alloc(0),
      Buffer.from('PROXY TCP4 1.2.3.4 '),
      SIGNATURE,
      tcp4([1, 2, 3, 4]),
    )
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 300 }), cuts, (before, noise, at) => {
        const bytes = Buffer.concat([before, noise])
        expect(outcome(bytes, at)).toEqual(outcome(bytes, []))
      }),
      { numRuns: 1000 },
    )
  })
})
