import { describe, expect, test } from 'vitest'
import { PROPERTY_SPECS, type PropertyList } from './properties.ts'
import { Reader } from './reader.ts'
import { ProtocolViolation } from './violation.ts'

const ACKS = 'ack'
const EVERYWHERE =
  'connect will connack publish delivery ack subscribe unsubscribe disconnect serverDisconnect auth'

/** Table 2-4 of the specification written out by hand: identifier, one sound value in hex, lists that may hold it. */
const TABLE: readonly (readonly [id: number, value: string, lists: string])[] = [
  [0x01, '01', 'publish delivery will'],
  [0x02, '00000001', 'publish delivery will'],
  [0x03, '000161', 'publish delivery will'],
  [0x08, '000161', 'publish delivery will'],
  [0x09, '000161', 'publish delivery will'],
  [0x0b, '01', 'delivery subscribe'],
  [0x11, '00000001', 'connect connack disconnect'],
  [0x12, '000161', 'connack'],
  [0x13, '0001', 'connack'],
  [0x15, '000161', 'connect connack auth'],
  [0x16, '000161', 'connect connack auth'],
  [0x17, '01', 'connect'],
  [0x18, '00000001', 'will'],
  [0x19, '01', 'connect'],
  [0x1a, '000161', 'connack'],
  [0x1c, '000161', 'connack serverDisconnect'],
  [0x1f, '000161', `connack ${ACKS} disconnect serverDisconnect auth`],
  [0x21, '0001', 'connect connack'],
  [0x22, '0001', 'connect connack'],
  [0x23, '0001', 'publish delivery'],
  [0x24, '01', 'connack'],
  [0x25, '01', 'connack'],
  [0x26, '000161000162', EVERYWHERE],
  [0x27, '00000001', 'connect connack'],
  [0x28, '01', 'connack'],
  [0x29, '01', 'connack'],
  [0x2a, '01', 'connack'],
]
const LISTS = EVERYWHERE.split(' ') as PropertyList[]
const REPEATABLE: readonly string[] = ['38 all', '11 delivery']

function listOf(...hex: readonly string[]): Reader {
  const body = Buffer.from(hex.join(''), 'hex')
  return new Reader(Buffer.concat([Buffer.from([body.length]), body]), 0, body.length + 1)
}

function reasonOf(action: () => unknown): number | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    if (error instanceof ProtocolViolation) return error.reason
    throw error
  }
}

const idHex = (id: number): string => id.toString(16).padStart(2, '0')

describe.each(LISTS)('properties of %s', (list) => {
  test('exactly those of table 2-4 are allowed', () => {
    for (let id = 0; id < 0x80; id++) {
      const row = TABLE.find((entry) => entry[0] === id)
      const allowed = row?.[2].split(' ').includes(list) ?? false
      const reason = reasonOf(() => listOf(idHex(id), row?.[1] ?? '00').properties(list))
      expect(reason, `identifier 0x${idHex(id)}`).toBe(allowed ? undefined : 0x81)
    }
  })

  test('none may come twice but the repeatable', () => {
    for (const [id, value, lists] of TABLE) {
      if (!lists.split(' ').includes(list)) continue
      const twice = reasonOf(() => listOf(idHex(id), value, idHex(id), value).properties(list))
      const repeatable = REPEATABLE.includes(`${id} all`) || REPEATABLE.includes(`${id} ${list}`)
      expect(twice, `identifier 0x${idHex(id)}`).toBe(repeatable ? undefined : 0x82)
    }
  })

  test('none may be cut short', () => {
    for (const [id, value, lists] of TABLE) {
      if (!lists.split(' ').includes(list)) continue
      for (let cut = 0; cut < value.length; cut += 2) {
        expect(reasonOf(() => listOf(idHex(id), value.slice(0, cut)).properties(list))).toBe(0x81)
      }
    }
  })
})

describe('values', () => {
  test('one-byte flags are 0 or 1', () => {
    for (const spec of PROPERTY_SPECS) {
      if (spec.wire !== 'boolean' && spec.wire !== 'bit') continue
      const list = spec.packets[0]!
      expect(reasonOf(() => listOf(idHex(spec.id), '00').properties(list))).toBeUndefined()
      expect(
        reasonOf(() => listOf(idHex(spec.id), '02').properties(list)),
        spec.name,
      ).toBe(0x82)
    }
  })

  test.each([
    ['connect', '210000', 0x82],
    ['connect', '2700000000', 0x82],
    ['publish', '230000', 0x94],
    ['subscribe', '0b00', 0x82],
    ['delivery', '0b00', 0x82],
    ['connect', '220000', undefined],
    ['connect', '1100000000', undefined],
    ['publish', '0200000000', undefined],
  ] as const)('%s with %s: %s', (list, hex, reason) => {
    expect(reasonOf(() => listOf(hex).properties(list))).toBe(reason)
  })

  test('names of user properties stay out of object keys', () => {
    const proto = `260009${Buffer.from('__proto__').toString('hex')}000162`
    const properties = listOf(proto, proto).properties('connect')
    expect(properties?.userProperties).toEqual([
      ['__proto__', 'b'],
      ['__proto__', 'b'],
    ])
    expect(Object.keys(properties ?? {})).toEqual(['userProperties'])
  })

  test('uint32 keeps its highest bit', () => {
    expect(listOf('11ffffffff').properties('connect')).toEqual({ sessionExpiryInterval: 0xffff_ffff })
  })

  test('several subscription identifiers of a server are kept in order', () => {
    expect(listOf('0b010bffffff7f').properties('delivery')).toEqual({
      subscriptionIdentifiers: [1, 268_435_455],
    })
  })
})
