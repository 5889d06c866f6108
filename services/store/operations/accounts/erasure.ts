/** The two ends of an account: one that its owner may take back by logging in, and one for ever. */
import { WochatError } from '../../../../protocol/errors.ts'
import type { Caller } from '../../contract.ts'
import { endAllLogins, onlookersOf, setAccountState, touchOnlookers } from '../people/account-state.ts'
import type { StoredOperations } from '../stored.ts'
import type { Person, Transaction } from '../transaction.ts'

export const accountEndOperations: StoredOperations<'accounts.deactivate' | 'accounts.erase'> = {
  async 'accounts.deactivate'(tx, { caller }) {
    const me = await lockWithOnlookers(tx, caller)
    await setAccountState(tx, me, 'deactivated')
    await touchOnlookers(tx, me, me.onlookers)
    await endAllLogins(tx, me)
    return {}
  },

  /**
   * At once nobody can use the account, nor find what the person said of themselves; what many rows hold goes in
   * steps (account-erasure-steps.ts). The account's row stays, so that nobody takes the uid.
   */
  async 'accounts.erase'(tx, { caller, confirm }) {
    if (confirm !== caller.uid) throw new WochatError('bad_request', 'confirm: not the uid of the caller')
    const me = await lockWithOnlookers(tx, caller)
    await setAccountState(tx, me, 'erased')
    await tx.query('update account set phone = null, takes = null, suspended_for = null where n = $1', [
      me.account,
    ])
    await tx.query('delete from profile where account = $1', [me.account])
    await tx.query('update api_key set ended_at = $2 where account = $1 and ended_at is null', [
      me.account,
      tx.now,
    ])
    await tx.query(
      `insert into erasure (account, asked_at, stage, log, seq) values ($1, $2, 'contacts', 0, 0)
       on conflict (account) do nothing`,
      [me.account, tx.now],
    )
    await touchOnlookers(tx, me, me.onlookers)
    await endAllLogins(tx, me)
    return {}
  },
}

async function lockWithOnlookers(
  tx: Transaction,
  { uid }: Caller,
): Promise<Person & { onlookers: number[] }> {
  const account = await tx.ensureAccount(uid)
  const onlookers = await onlookersOf(tx, account)
  await tx.lockAccounts([account, ...onlookers])
  return { uid, account, onlookers }
}
