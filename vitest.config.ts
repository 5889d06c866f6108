/** Which tests run on one process, and which on a cluster. */
import { readdirSync } from 'node:fs'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * What an app does over sockets is kept by one process and by a cluster alike, sender and receiver on different nodes:
 * every file of test/system runs on both, but for these.
 */
const ONE_PROCESS_ONLY: ReadonlyMap<string, string> = new Map([
  ['admin', 'the admin port of one process; test/cluster/admin.test.ts is that of a cluster'],
  ['admin-forms', 'the admin port of one process, before and after in its file'],
  ['admin-drain', 'the drain of one process; test/cluster/admin.test.ts drains a node of several'],
  [
    'authorisation',
    'who may do what is decided by the same operations; refusals tries each of them on a cluster',
  ],
  ['cli', 'the command line, which talks to one address'],
  ['metrics', 'the page of one process'],
  ['migrate', 'starts with an installation on one process'],
  ['packet-ids', 'numbers within one connection'],
  ['quickstart', 'the README on one machine'],
  ['tls', 'a listener of one process'],
])

const SYSTEM_TESTS = readdirSync(new URL('test/system', import.meta.url))
  .filter((name) => name.endsWith('.test.ts'))
  .filter((name) => !ONE_PROCESS_ONLY.has(name.slice(0, -'.test.ts'.length)))

/** Small files that take minutes: at the end they would run alone. */
const LONG = /\/test\/(contract\/store|faults|cluster)\//

class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification) => LONG.test(moduleId)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

const ENGINES_OF_THEIR_OWN = { postgresUrl: '', redisUrl: '' }

export default defineConfig({
  test: {
    // A guard against tests that hang, far from what any of them takes.
    testTimeout: 60_000,
    hookTimeout: 90_000,
    pool: 'forks',
    // One more than the two cores of the check: many tests wait for processes and leases.
    maxWorkers: 3,
    sequence: { sequencer: LongFilesFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'single',
          include: ['test/**/*.test.ts', '{protocol,broker,services,clients}/**/*.test.ts'],
          provide: { topology: 'single', ...ENGINES_OF_THEIR_OWN },
        },
      },
      {
        extends: true,
        test: {
          name: 'cluster',
          include: SYSTEM_TESTS.map((name) => `test/system/${name}`),
          globalSetup: 'test/harness/cluster-setup.ts',
          provide: { topology: 'cluster', ...ENGINES_OF_THEIR_OWN },
        },
      },
    ],
  },
})
