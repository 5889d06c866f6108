import { expect, it } from 'vitest'
import { WochatError } from './errors.ts'
import { parseParams } from './validate.ts'

function refusalOf(name: Parameters<typeof parseParams>[0], params: unknown): string {
  try {
    parseParams(name, params)
    return 'ok'
  } catch (error) {
    if (!(error instanceof WochatError)) throw error
    return `${error.code} ${error.message}`
  }
}

const login = { phone: '+8613800000001', code: '1', device: { id: 'phone' } }

it('parameters that fit are given back as they came', () => {
  expect(parseParams('auth.login', login)).toBe(login)
  expect(parseParams('auth.logout', {})).toEqual({})
})

it.each<[string, unknown, string]>([
  ['a missing field', { ...login, code: undefined }, 'bad_request'],
  ['nothing', {}, 'bad_request phone: missing'],
  ['a missing field within', { ...login, device: {} }, 'bad_request device.id: missing'],
  ['an unknown field', { ...login, admin: true }, 'bad_request admin: unknown field'],
  ['an unknown field within', { ...login, device: { id: 'a', x: 1 } }, 'bad_request device.x: unknown field'],
  ['a wrong type', { ...login, phone: 7 }, 'bad_request phone: must be string'],
  ['a wrong pattern', { ...login, device: { id: 'a b' } }, 'bad_request device.id: must match pattern'],
  ['a prototype', JSON.parse('{"phone":"1","device":{"__proto__":{}}}'), 'bad_request __proto__'],
  ['a list', [], 'bad_json'],
  ['null', null, 'bad_json'],
  ['a text', 'x', 'bad_json'],
])('%s is refused by the name of the field', (_what, params, start) => {
  expect(refusalOf('auth.login', params).startsWith(start), refusalOf('auth.login', params)).toBe(true)
})

it.each<[string, Parameters<typeof parseParams>[0], object, string]>([
  [
    'one of an enum',
    'reports.create',
    { uid: 'bob', reason: 'x' },
    'reason: one of spam, abuse, violence, sexual, illegal, other',
  ],
  ['one of a union', 'messages.page', { log: 'd:alice:bob', kind: 'x' }, 'kind: one of media, files, links'],
  [
    'one of some, or null',
    'settings.set',
    { whoMayAdd: 'x' },
    'whoMayAdd: one of everybody, friendsOfFriends, nobody, null',
  ],
  [
    'a text of a form',
    'groups.join',
    { token: 'x' },
    'token: must match pattern "^[A-Za-z0-9_-]{22}$" (What a link carries: 22 letters, digits, `-` and `_`)',
  ],
  [
    'a text of a form in a list',
    'profile.get',
    { uids: ['a b'] },
    'uids.0: must match pattern "^[A-Za-z0-9._@-]{1,64}$" (An account)',
  ],
])('what a field takes is said: %s', (_what, name, params, text) => {
  expect(refusalOf(name, params)).toBe(`bad_request ${text}`)
})

it('a refusal never holds a value, and only the beginning of a long name', () => {
  expect(refusalOf('auth.login', { ...login, code: ['493021'] })).not.toContain('493021')
  expect(refusalOf('auth.login', { ...login, ['x'.repeat(5000)]: 1 }).length).toBeLessThan(120)
  expect(refusalOf('auth.refresh', { refreshToken: 's'.repeat(300) })).not.toContain('sss')
})
