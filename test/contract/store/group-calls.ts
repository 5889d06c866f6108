/** Shorter ways to call what the suites of groups call again and again. */
import type { Params, Result } from '../../../protocol/catalogue/catalogue.ts'
import type { DeviceId, UserId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import type { StoredName } from '../../../services/store/operations/operations.ts'
import { refusalOf } from './people.ts'

type GroupName = Extract<StoredName, `groups.${string}` | `rooms.${string}`>

/** A caller with the calls that they make in one store. */
export class Hands implements Caller {
  readonly uid: UserId
  readonly device: DeviceId | null
  readonly #store: Store

  constructor(store: Store, { uid, device }: Caller) {
    this.uid = uid
    this.device = device
    this.#store = store
  }

  do<Name extends GroupName>(name: Name, params: Params<Name>): Promise<Result<Name>> {
    return this.#store.run({ name, caller: { uid: this.uid, device: this.device }, params })
  }

  /** The code with which a call is refused. */
  refused<Name extends GroupName>(name: Name, params: Params<Name>): Promise<string> {
    return refusalOf(this.do(name, params))
  }
}

export const handsOf = (store: Store, caller: Caller): Hands => new Hands(store, caller)
