/**
 * Whatever is refused, for every operation: ids of others, ids of nobody, the wrong state. A refusal has the code that
 * the catalogue names for the operation, nothing changes, and nobody notices.
 *
 * That the form of a request is refused is tried in services/api/http-server.test.ts, and who may do what in
 * authorisation.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ADMIN_COMMON_ERRORS, ADMIN_NAMES, ADMIN_OPERATIONS } from '../../protocol/admin/operations.ts'
import { CATALOGUE, OPERATION_NAMES } from '../../protocol/catalogue/catalogue.ts'
import { COMMON_ERRORS, type Operation } from '../../protocol/catalogue/operation.ts'
import { ERRORS } from '../../protocol/errors.ts'
import { adminRaw } from '../harness/admin.ts'
import type { Device } from '../harness/device.ts'
import type { HttpRefusal } from '../harness/http.ts'
import { inTurns } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { ADMIN_SITUATIONS } from './refusals/admin.ts'
import { type Described, missingOf } from './refusals/completeness.ts'
import type { Call, Situation } from './refusals/situation.ts'
import { situationsOf } from './refusals/situations.ts'
import { BOUNDS, Town } from './refusals/town.ts'
import { mediaFolder } from './refusals/town-files.ts'
import { OPERATOR, takeAllViews, takeMarks, touchedBy, type Views } from './refusals/views.ts'

const folder = mediaFolder()
const server = sharedServer({ env: { ...BOUNDS, WOCHAT_MEDIA_DIR: folder.path } })

/** Whose devices are connected while others are refused. */
const LISTENERS = ['owner', 'ben', 'other', 'wall']
const PREPARED_AT_ONCE = 4
/** Of the town with all of its situations, on a slow machine. */
const BUILD_MS_MAX = 240_000

const ALL: readonly Situation[] = [
  ...OPERATION_NAMES.flatMap(situationsOf),
  ...(Object.values(ADMIN_SITUATIONS).flat() as Situation[]),
]

let town: Town
/** All that is seen before the first situation, and the little of it that is looked at after each. */
let before: Views
let marks: Views
let listeners: Device[] = []
/** A situation that could not be made is the failure of its own test. */
const calls = new Map<Situation, Call | Error>()

beforeAll(async () => {
  town = await Town.build(server)
  await inTurns(ALL, PREPARED_AT_ONCE, async (situation) => {
    const prepare = async () => situation.prepare(town)
    calls.set(situation, await prepare().catch((error: Error) => error))
  })
  listeners = await Promise.all(LISTENERS.map((role) => town.connect(role)))
  for (const device of listeners) await device.untilSynced()
  before = await takeAllViews(town, everything())
  marks = await takeMarks(town, everything())
}, BUILD_MS_MAX)

afterAll(() => {
  for (const device of listeners) device.cut()
  for (const call of calls.values()) if ('over' in call) call.over?.cut()
  folder.remove()
})

/** The people and places of the town, and who operates it. */
const everything = () => [...town.awake, ...town.places.keys(), OPERATOR]

/** What was answered, or how it was refused; over MQTT there is no status. */
type Outcome = { answer: unknown } | { code: string; status: number | null }

async function callOperation(name: string, { as, params, over }: Call): Promise<Outcome> {
  if (over !== undefined) {
    const reply = await over.call(name, params as Record<string, unknown>, 'situation')
    return reply.code === undefined ? { answer: reply.result } : { code: reply.code, status: null }
  }
  const token = as === null ? undefined : town.token(as)
  return server.http(name, params, token).then(
    (answer) => ({ answer }),
    ({ code, status }: HttpRefusal) => ({ code, status }),
  )
}

async function callAdmin(name: string, { params }: Call): Promise<Outcome> {
  const { status, body } = await adminRaw(server, name, { body: JSON.stringify(params) })
  return status === 200 ? { answer: body } : { code: (body.error as { code: string }).code, status }
}

function expected({ outcome }: Situation, { over }: Call): Outcome {
  if (typeof outcome !== 'string') return { answer: outcome.answer(town) }
  return { code: outcome, status: over === undefined ? ERRORS[outcome].http : null }
}

const inboxes = () => listeners.flatMap(({ uid, inbox }) => inbox.map((entry) => ({ uid, ...entry })))

type Suite = Described & {
  situations: readonly Situation[]
  /** Codes that it may give beside its own. */
  common: readonly string[]
  call: (name: string, call: Call) => Promise<Outcome>
  /** Who may notice beside those whom the call names. */
  watching: readonly string[]
}

const SUITES: Suite[] = [
  ...OPERATION_NAMES.map((name): Suite => {
    const { params, errors }: Operation = CATALOGUE[name]
    const situations = situationsOf(name)
    const whose = ['foreign', 'absent'] as const
    return {
      name,
      params,
      errors,
      whose,
      situations,
      common: COMMON_ERRORS,
      call: callOperation,
      watching: [],
    }
  }),
  ...ADMIN_NAMES.map((name): Suite => {
    const { params, errors } = ADMIN_OPERATIONS[name]
    const situations = ADMIN_SITUATIONS[name] as Situation[]
    const common = ADMIN_COMMON_ERRORS
    return {
      name,
      params,
      errors,
      whose: ['absent'],
      situations,
      common,
      call: callAdmin,
      watching: [OPERATOR],
    }
  }),
]

describe.each(SUITES.map((suite) => [suite.name, suite] as const))('%s', (_, suite) => {
  const { name, situations } = suite

  test.for(situations.map((situation) => [titleOf(situation), situation] as const))(
    '%s',
    async ([, situation]) => {
      const call = calls.get(situation)!
      if (call instanceof Error) throw call
      const touched = [...touchedBy(town, call), ...suite.watching]
      const heard = inboxes().length
      const outcome = await suite.call(name, call)
      const now = await takeMarks(town, touched)
      const then = new Map(touched.map((whose) => [whose, marks.get(whose)]))
      // What one situation changes is not the fault of the next.
      for (const [whose, mark] of now) marks.set(whose, mark)
      expect(outcome).toEqual(expected(situation, call))
      if (situation.changes === undefined) expect(now).toEqual(then)
      else for (const [whose, view] of await takeAllViews(town, touched)) before.set(whose, view)
      expect(inboxes().slice(heard)).toEqual([])
    },
  )

  test('its codes are those of the catalogue, and each of them and each id is tried', () => {
    const named = new Set<string>([...suite.errors, ...suite.common])
    const tried = situations.map(({ outcome }) => outcome)
    expect(tried.filter((outcome) => typeof outcome === 'string' && !named.has(outcome))).toEqual([])
    expect(missingOf(suite, situations)).toEqual([])
  })
})

test('after all of it everybody sees what they saw before, and nobody heard of anything', async () => {
  expect(await takeAllViews(town, everything())).toEqual(before)
  for (const device of listeners) await device.settle()
  expect(inboxes()).toEqual([])
})

function titleOf({ promise, outcome }: Situation): string {
  return `${typeof outcome === 'string' ? outcome : 'passed over'}: ${promise}`
}
