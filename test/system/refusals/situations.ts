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
  const situations = TABLE[name] as Situation[]
  if (params.properties.requestId !== RequestId) return []
  return [
    {
      promise: 'under the requestId of another call',
      outcome: 'id_conflict',
      async prepare(town) {
        // What is absent needs no preparation.
        const any = situations.findLast(({ id }) => id?.whose === 'absent') ?? situations[0]
        const call = any === undefined ? town.as('anna', LEAST.get(name)!) : await any.prepare(town)
        return { ...call, params: { ...call.params, requestId: USED_REQUEST } }
      },
    },
  ]
}

/** Parameters of operations that no situation calls. */
const LEAST: ReadonlyMap<OperationName, object> = new Map<OperationName, object>([
  ['rooms.create', { name: 'x' }],
  ['conversations.readAll', {}],
  ['accounts.deactivate', {}],
])
