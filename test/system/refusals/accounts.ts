/** Logins and devices, profiles and settings, the ends of accounts, and who is there. */
import { expect } from 'vitest'
import type { OperationName, Params } from '../../../protocol/catalogue/catalogue.ts'
import { admin } from '../../harness/admin.ts'
import { type Login, logIn, newPhone, newUid, requestCode } from '../../harness/people.ts'
import { inGroup } from './groups.ts'
import {
  absent,
  BANNED_WORD,
  type Call,
  foreign,
  NO_GROUP,
  NOBODY,
  passesOver,
  refuses,
  refusesTheWord,
  type Situation,
} from './situation.ts'
import { CONTACTS_MAX, DEVICE, type Town } from './town.ts'
import { uploadForeign } from './town-files.ts'

type Prefix = 'auth' | 'profile' | 'settings' | 'accounts' | 'presence'
type Names = Extract<OperationName, `${Prefix}.${string}`>

const DEVICES_MAX = 2
const PRESENCE_UIDS_MAX = 200

const anybody = <P>(params: P): Call<P> => ({ as: null, params })

async function logInAndBeSuspended(town: Town): Promise<Login & { phone: string }> {
  const phone = newPhone()
  const login = await logIn(town.server, { phone, deviceId: 'phone' })
  await admin(town.server, 'suspend', { uid: login.uid, reason: 'spam' })
  return { ...login, phone }
}

const device = (id: string) => ({ device: { id } })

/** Another code than the right one. */
const wrong = (code: string) => (code === '000000' ? '000001' : '000000')

async function watchAll(town: Town): Promise<Call<Params<'presence.watch'>>> {
  const over = await town.connect('full')
  const friends = [...town.crowd, town.who('owner')]
  for (let start = 0; start < CONTACTS_MAX; start += PRESENCE_UIDS_MAX) {
    const uids = friends.slice(start, start + PRESENCE_UIDS_MAX)
    const reply = await over.call('presence.watch', { uids }, `watch-${start}`)
    if (reply.code !== undefined) throw new Error(`presence.watch: ${reply.code}`)
  }
  return { ...town.as('full', { uids: [town.who('full')] }), over }
}

/** The same for who is not there and who does not let the caller see. */
const unknown = (uid: string) => [{ uid, state: 'unknown' }]

const whoIs = (): Situation<{ uids: string[] }>[] => [
  foreign(
    'uids',
    passesOver((town) => ({ people: unknown(town.who('anna')) })),
    'of a stranger',
    (town) => town.as('stranger', { uids: [town.who('anna')] }),
  ),
  absent('uids', passesOver({ people: unknown(NOBODY) }), (town) => town.as('anna', { uids: [NOBODY] })),
]

/** From a device of its own, which stays connected. */
async function watchFrom(town: Town, role: string, uid: string): Promise<Call<Params<'presence.watch'>>> {
  return {
    ...town.as(role, { uids: [uid] }),
    over: await town.connect(role, 'watch'),
  }
}

const whoIsWatched = (): Situation<Params<'presence.watch'>>[] => {
  const until = expect.any(Number)
  return [
    foreign(
      'uids',
      passesOver((town) => ({ people: unknown(town.who('anna')), until })),
      'a stranger',
      (town) => watchFrom(town, 'stranger', town.who('anna')),
    ),
    absent('uids', passesOver({ people: unknown(NOBODY), until }), (town) => watchFrom(town, 'anna', NOBODY)),
  ]
}

export const accountSituations: { [Name in Names]: Situation<Params<Name>>[] } = {
  'auth.requestCode': [refuses('bad_phone', 'a phone that is none', () => anybody({ phone: '0800' }))],
  'auth.login': [
    refuses('bad_phone', 'a phone that is none', () =>
      anybody({ phone: '0800', code: '123456', ...device('phone') }),
    ),
    refuses('bad_code', 'without a code', () =>
      anybody({ phone: newPhone(), code: '123456', ...device('phone') }),
    ),
    refuses('bad_code', 'another code', async (town) => {
      const phone = newPhone()
      return anybody({ phone, code: wrong(await requestCode(town.server, phone)), ...device('phone') })
    }),
    refuses('bad_code', 'the code of another phone', async (town) => {
      const [phone, other] = [newPhone(), newPhone()]
      await requestCode(town.server, phone)
      return anybody({ phone, code: await requestCode(town.server, other), ...device('phone') })
    }),
    refuses('bad_code', 'a code that was used', async (town) => {
      const phone = newPhone()
      const code = await requestCode(town.server, phone)
      await town.server.http('auth.login', { phone, code, ...device('phone') })
      return anybody({ phone, code, ...device('tablet') })
    }),
    foreign('uid', 'uid_taken', 'of somebody else', async (town) => {
      const phone = newPhone()
      return anybody({
        phone,
        code: await requestCode(town.server, phone),
        uid: town.who('anna'),
        ...device('phone'),
      })
    }),
    refuses('uid_fixed', 'another uid than the phone has', async (town) => {
      const phone = newPhone()
      await logIn(town.server, { phone, uid: newUid('first'), deviceId: 'phone' })
      return anybody({
        phone,
        code: await requestCode(town.server, phone),
        uid: newUid('second'),
        ...device('phone'),
      })
    }),
    refuses('too_many_devices', 'one more device than an account has', async (town) => {
      const phone = newPhone()
      for (let i = 0; i < DEVICES_MAX; i++) await logIn(town.server, { phone, deviceId: `device-${i}` })
      return anybody({ phone, code: await requestCode(town.server, phone), ...device('one-more') })
    }),
    refuses('account_suspended', 'to an account that is suspended', async (town) => {
      const { phone } = await logInAndBeSuspended(town)
      return anybody({ phone, code: await requestCode(town.server, phone), ...device('phone') })
    }),
  ],
  'auth.refresh': [
    refuses('account_suspended', 'of an account that is suspended', async (town) => {
      const { refreshToken } = await logInAndBeSuspended(town)
      return anybody({ refreshToken })
    }),
    absent('refreshToken', 'bad_refresh', () =>
      anybody({ refreshToken: `${'s'.repeat(22)}.${'t'.repeat(43)}` }),
    ),
    foreign('refreshToken', 'bad_refresh', 'of a login that was ended', async (town) => {
      const login = await logIn(town.server, { phone: newPhone(), deviceId: 'phone' })
      await town.server.http('auth.logout', {}, login.accessToken)
      return anybody({ refreshToken: login.refreshToken })
    }),
    {
      ...refuses('refresh_reused', 'one that was changed for the next', async (town: Town) => {
        const { refreshToken } = await logIn(town.server, { phone: newPhone(), deviceId: 'phone' })
        await town.server.http('auth.refresh', { refreshToken })
        return anybody({ refreshToken })
      }),
      changes: 'two hold tokens of the login, so it is ended',
    },
  ],
  'auth.logout': [refuses('device_required', 'with a token of no device', (town) => town.as('anna', {}))],
  'auth.devices': [],
  'auth.revoke': [
    foreign('deviceId', passesOver(), 'a device of somebody else', (town) =>
      town.as('stranger', { deviceId: DEVICE }),
    ),
    absent('deviceId', passesOver(), (town) => town.as('stranger', { deviceId: 'none-of-this-name' })),
  ],

  'profile.get': [
    foreign('uids', passesOver({ items: [] }), 'a stranger who is not to be found', (town) =>
      town.as('stranger', { uids: [town.who('hidden')] }),
    ),
    absent('uids', passesOver({ items: [] }), (town) => town.as('stranger', { uids: [NOBODY] })),
  ],
  'profile.set': [
    refusesTheWord((town) => town.as('anna', { name: BANNED_WORD })),
    foreign('avatar', 'unknown_media', 'a file of somebody else', async (town) =>
      town.as('owner', { avatar: await uploadForeign(town) }),
    ),
    refuses('bad_request', 'more attributes than a profile has', (town) => {
      const attributes = Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`a${i}`, 'x']))
      return town.as('anna', { name: 'not to be seen', attributes })
    }),
  ],
  'settings.get': [],
  'settings.set': [
    refuses('bad_request', 'a time zone that is none', (town) =>
      town.as('anna', { language: 'fr', doNotDisturb: { from: 1, to: 2, timezone: 'Nowhere/At_All' } }),
    ),
  ],
  'settings.changes': [],
  'accounts.search': [
    foreign('query', passesOver({ items: [] }), 'a stranger who is not to be found', (town) =>
      town.as('stranger', { query: town.who('hidden') }),
    ),
    absent('query', passesOver({ items: [] }), (town) => town.as('stranger', { query: NOBODY })),
    foreign('query', passesOver({ items: [] }), 'somebody who has blocked the caller', (town) =>
      town.as('stranger', { query: town.who('wall') }),
    ),
  ],
  'accounts.deactivate': [],
  'accounts.export': [],
  'accounts.erase': [
    foreign('confirm', 'bad_request', 'the uid of somebody else', (town) =>
      town.as('stranger', { confirm: town.who('anna') }),
    ),
    absent('confirm', 'bad_request', (town) => town.as('stranger', { confirm: NOBODY })),
  ],

  'presence.get': whoIs(),
  'presence.watch': [
    refuses('connection_required', 'over HTTP', (town) => town.as('anna', { uids: [town.who('ben')] })),
    refuses('too_many_watches', 'one more than a connection watches', watchAll),
    ...whoIsWatched(),
  ],
  'presence.unwatch': [refuses('connection_required', 'over HTTP', (town) => town.as('anna', {}))],
  'presence.ofGroup': [
    ...inGroup((id) => ({ id })),
    refuses('unknown_group', 'a place in a group that is not there', (town) =>
      town.as('owner', { id: NO_GROUP, cursor: '1.1' }),
    ),
  ],
}
