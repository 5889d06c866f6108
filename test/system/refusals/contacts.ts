/** Friendships, requests and blocks. */
import type { OperationName, Params } from '../../../protocol/catalogue/catalogue.ts'
import {
  absent,
  BANNED_WORD,
  foreign,
  NOBODY,
  passesOver,
  refuses,
  refusesTheWord,
  type Situation,
} from './situation.ts'

type Names = Extract<OperationName, `contacts.${string}`>

/** Refusals of what answers a request. */
const ofRequest = (): Situation<{ uid: string }>[] => [
  foreign('uid', 'no_request', 'who has not asked', (town) => town.as('anna', { uid: town.who('stranger') })),
  absent('uid', 'no_request', (town) => town.as('anna', { uid: NOBODY })),
  refuses('no_request', 'who is a friend already', (town) => town.as('anna', { uid: town.who('ben') })),
  refuses('no_request', 'whom the caller has asked', async (town) => {
    await town.do('owner', 'contacts.request', { uid: town.who('planner') })
    return town.as('owner', { uid: town.who('planner') })
  }),
  refuses('no_request', 'who was refused before', (town) =>
    town.as('refuser', { uid: town.who('stranger') }),
  ),
]

export const contactSituations: { [Name in Names]: Situation<Params<Name>>[] } = {
  'contacts.request': [
    absent('uid', 'unknown_user', (town) => town.as('anna', { uid: NOBODY })),
    refuses('bad_request', 'oneself', (town) => town.as('anna', { uid: town.who('anna') })),
    refuses('account_inactive', 'somebody whose account rests', (town) =>
      town.as('stranger', { uid: town.who('sleeper') }),
    ),
    refuses('blocked', 'somebody who has blocked the caller', (town) =>
      town.as('stranger', { uid: town.who('wall') }),
    ),
    refuses('requests_closed', 'somebody who takes no requests', (town) =>
      town.as('stranger', { uid: town.who('closed') }),
    ),
    refuses('request_refused', 'again, soon after a refusal', (town) =>
      town.as('stranger', { uid: town.who('refuser') }),
    ),
    refuses('too_many_contacts', 'by who has as many as allowed', (town) =>
      town.as('full', { uid: town.who('stranger') }),
    ),
    refuses('too_many_contacts', 'of who has as many as allowed', (town) =>
      town.as('stranger', { uid: town.who('full') }),
    ),
    refusesTheWord((town) => town.as('stranger', { uid: town.who('anna'), text: BANNED_WORD })),
  ],
  'contacts.accept': ofRequest(),
  'contacts.refuse': ofRequest(),
  'contacts.update': [
    foreign('uid', 'not_a_contact', 'who is not on the list', (town) =>
      town.as('anna', { uid: town.who('stranger'), remark: 'Boss' }),
    ),
    absent('uid', 'not_a_contact', (town) => town.as('anna', { uid: NOBODY, remark: 'Boss' })),
    refuses('not_a_contact', 'who was on the list', (town) =>
      town.as('anna', { uid: town.who('ex'), remark: 'Boss' }),
    ),
  ],
  'contacts.list': [],
  'contacts.changes': [],
  'contacts.remove': [
    foreign('uid', passesOver(), 'who is not on the list', (town) =>
      town.as('anna', { uid: town.who('stranger') }),
    ),
    absent('uid', passesOver(), (town) => town.as('anna', { uid: NOBODY })),
  ],
  'contacts.block': [
    absent('uid', 'unknown_user', (town) => town.as('anna', { uid: NOBODY })),
    refuses('bad_request', 'oneself', (town) => town.as('anna', { uid: town.who('anna') })),
    refuses('too_many_contacts', 'one more than a list has', (town) =>
      town.as('full', { uid: town.who('stranger') }),
    ),
  ],
  'contacts.unblock': [
    foreign('uid', passesOver(), 'who is not blocked', (town) =>
      town.as('anna', { uid: town.who('stranger') }),
    ),
    absent('uid', passesOver(), (town) => town.as('anna', { uid: NOBODY })),
  ],
}
