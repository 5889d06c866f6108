import { defineConfig } from 'vitest/config'

/** What an app does over sockets: kept by one process and by a cluster alike, sender and receiver on different nodes. */
const BOTH = [
  'connect',
  'frozen',
  'groups',
  'history',
  'live',
  'hostile-bytes',
  'hostile-content',
  'large-groups',
  'media',
  'moderation-fields',
  'offline',
  'own-space',
  'refusals',
  'sdk',
  'search',
  'send',
  'send-answers',
  'sessions',
  'suspension',
  'webhook-events',
]

const ENGINES_OF_THEIR_OWN = { postgresUrl: '', redisUrl: '' }

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 90_000,
    pool: 'forks',
    maxWorkers: 2,
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
          include: BOTH.map((name) => `test/system/${name}.test.ts`),
          globalSetup: 'test/harness/cluster-setup.ts',
          testTimeout: 60_000,
          provide: { topology: 'cluster', ...ENGINES_OF_THEIR_OWN },
        },
      },
    ],
  },
})
