/** All situations, by operation. */
import { CATALOGUE, type OperationName, type Params } from '../../../protocol/catalogue/catalogue.ts'
import { type Operation, RequestId } from '../../../protocol/catalogue/operation.ts'
import { accountSituations } from './accounts.ts'
import { contactSituations } from './contacts.ts'
import { conversationSituations } from './conversations.ts'
import { fileSituations } from './files.ts'
import { joiningSituations } from './group-joining.ts'
import { groupSituations } from './groups.ts'
import { messageLifeSituations } from './message-life.ts'
import { messageSituations } from './messages.ts'
import type { Situation } from './situation.ts'
import { USED_REQUEST } from './town.ts'

/** Parameters of operations that name nothing, so that no refusal of theirs comes later than this one. */
const PLAIN: ReadonlyMap<OperationName, object> = new Map<OperationName, object>([
  ['rooms.create', { name: 'x' }],
  ['profile.set', { name: 'x' }],
  ['conversations.readAll', {}],
  ['accounts.deactivate', {}],
])

const TABLE: { [Name in OperationName]: Situation<Params<Name>>[] } = {
  ...accountSituations,
  ...contactSituations,
  ...groupSituations,
  ...joiningSituations,
  ...conversationSituations,
  ...messageSituations,
  ...messageLifeSituations,
  ...fileSituations,
}

const ALL = new Map(
  (Object.keys(TABLE) as OperationName[]).map((name): [OperationName, Situation[]] => [
    name,
    [...(TABLE[name] as Situation[]), ...underUsedRequest(name)],
  ]),
)

export const situationsOf = (name: OperationName): readonly Situation[] => ALL.get(name)!

/** Whatever takes a requestId refuses one under which its caller made another call. */
function underUsedRequest(name: OperationName): Situation[] {
  const { params }: Operation = CATALOGUE[name]
  if (params.properties.requestId !== RequestId) return []
  // What is absent needs no preparation.
  const all = TABLE[name] as Situation[]
  const other = all.findLast(({ id }) => id?.whose === 'absent') ?? all[0]!
  const plain = PLAIN.get(name)
  return [
    {
      promise: 'under the requestId of another call',
      outcome: 'id_conflict',
      async prepare(town) {
        const call = plain === undefined ? await other.prepare(town) : town.as('anna', plain)
        return { ...call, params: { ...call.params, requestId: USED_REQUEST } }
      },
    },
  ]
}
