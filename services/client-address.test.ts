import fc from 'fast-check'
import { expect, test } from 'vitest'
import { clientAddress, trustNetworks } from './client-address.ts'

const isTrusted = trustNetworks(['10.0.0.0/8', '192.0.2.9', 'fd00::/8', '::1'])

test('networks and single addresses are trusted, IPv4 also in its mapped form', () => {
  for (const address of ['10.0.0.1', '10.255.255.255', '::ffff:10.1.2.3', '192.0.2.9', 'fd12::1', '::1']) {
    expect(isTrusted(address), address).toBe(true)
  }
  for (const address of ['11.0.0.0', '192.0.2.8', '::ffff:11.0.0.1', 'fe80::1', '::2', '', 'unknown']) {
    expect(isTrusted(address), address).toBe(false)
  }
  expect(trustNetworks([])('127.0.0.1')).toBe(false)
})

test('a stranger is not believed about anybody', () => {
  fc.assert(
    fc.property(fc.string(), (header) => {
      expect(clientAddress('203.0.113.5', header, isTrusted)).toBe('203.0.113.5')
    }),
  )
})

test('the client is the rightmost hop that is no proxy; what it wrote itself stays unread', () => {
  const client = (header: string | string[]) => clientAddress('10.0.0.1', header, isTrusted)
  expect(client('198.51.100.7')).toBe('198.51.100.7')
  expect(client('1.1.1.1, 198.51.100.7')).toBe('198.51.100.7')
  expect(client('1.1.1.1, 198.51.100.7, 10.0.0.2,192.0.2.9')).toBe('198.51.100.7')
  expect(client(['1.1.1.1', '198.51.100.7, 10.0.0.2'])).toBe('198.51.100.7')
  expect(client('198.51.100.7:4711')).toBe('198.51.100.7')
  expect(client('[2001:db8::7]:4711')).toBe('2001:db8::7')
  expect(client('10.0.0.3, 10.0.0.2')).toBe('10.0.0.3')
})

test('a hop that is no address ends the search at the proxy that wrote it', () => {
  expect(clientAddress('10.0.0.1', '198.51.100.7, unknown', isTrusted)).toBe('10.0.0.1')
  expect(clientAddress('10.0.0.1', '198.51.100.7, , 10.0.0.2', isTrusted)).toBe('10.0.0.2')
  expect(clientAddress('10.0.0.1', '', isTrusted)).toBe('10.0.0.1')
  expect(clientAddress('10.0.0.1', undefined, isTrusted)).toBe('10.0.0.1')
})

test('whatever a client writes to the left changes nothing', () => {
  fc.assert(
    fc.property(fc.string(), (invented) => {
      expect(clientAddress('10.0.0.1', `${invented}, 198.51.100.7`, isTrusted)).toBe('198.51.100.7')
    }),
  )
})
