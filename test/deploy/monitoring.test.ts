/** Every metric that an alert or the dashboard names is one that a real server shows. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { documentedMetrics } from '../harness/documented-metrics.ts'
import { REPO, sharedServer } from '../harness/server.ts'

type Rule = {
  alert: string
  expr: string
  for?: string
  labels: { severity: string }
  annotations: Record<string, string>
}
type Panel = {
  id: number
  title: string
  gridPos: { x: number; y: number; w: number; h: number }
  targets: { expr: string }[]
}

const ALERTS = parse(readFileSync(join(REPO, 'deploy/prometheus/alerts.yaml'), 'utf8')) as {
  groups: { name: string; rules: Rule[] }[]
}
const DASHBOARD = JSON.parse(readFileSync(join(REPO, 'deploy/grafana/dashboard.json'), 'utf8')) as {
  panels: Panel[]
  templating: { list: { name: string; query?: string }[] }
}
const rules = ALERTS.groups.flatMap((group) => group.rules)
const { panels } = DASHBOARD
const queries = [
  ...rules.map(({ alert, expr }) => [`alert ${alert}`, expr] as const),
  ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [`panel ${title}`, expr] as const)),
  ...DASHBOARD.templating.list
    .filter(({ query }) => query?.startsWith('label_values('))
    .map(({ name, query }) => [`variable ${name}`, /\((\w+),/.exec(query!)![1]!] as const),
]

/** Names of metrics in an expression: what is left of its words without labels, functions and keywords. */
function metricsOf(expr: string): string[] {
  const bare = expr
    .replace(/\{[^}]*\}/g, '')
    .replace(/\[[^\]]*\]/g, '')
    .replace(/\b(by|without|on|ignoring)\s*\([^)]*\)/g, '')
  const words = bare.match(/[a-zA-Z_:][\w:]*(?!\w*\s*\()/g) ?? []
  return words.filter((word) => !['and', 'or', 'unless', 'sum', 'e9'].includes(word))
}

/** Names of labels that an expression selects by. */
function labelsOf(expr: string): string[] {
  return [...expr.matchAll(/\{([^}]*)\}/g)].flatMap((match) =>
    [...match[1]!.matchAll(/(\w+)\s*[=!]~?/g)].map((label) => label[1]!),
  )
}

/** A node of a cluster shows all that a single one does, and more. */
const server = sharedServer({ nodes: [{}] })
/** What Prometheus itself adds. */
const OF_PROMETHEUS = new Set(['up'])
const LABELS_OF_PROMETHEUS = new Set(['job', 'instance'])

describe.each(queries)('%s', (_, expr) => {
  test('names metrics that the server shows', async () => {
    const shown = await server.metrics()
    const known = shown.names()
    const metrics = metricsOf(expr)
    expect(metrics).not.toEqual([])
    expect(metrics.filter((name) => !known.has(name) && !OF_PROMETHEUS.has(name))).toEqual([])
  })

  test('selects by labels that the server writes', async () => {
    const { text } = await server.metrics()
    for (const label of labelsOf(expr)) {
      const isKnown =
        LABELS_OF_PROMETHEUS.has(label) || text.includes(`${label}="`) || LABELS_LATER.has(label)
      expect(isKnown, label).toBe(true)
    }
  })
})

/** A counter by label shows none before it counted. */
const LABELS_LATER = new Set(['code', 'reason'])

test('a node of a cluster shows what the guide names, and nothing else but what Node adds', async () => {
  const shown = (await server.metrics()).declared()
  const ours = shown.filter((name) => name.startsWith('wochat_'))
  expect(ours).toEqual(documentedMetrics('ofEveryProcess', 'ofCluster'))
})

test('a metric that is unknown would be found', async () => {
  const known = (await server.metrics()).names()
  const metrics = metricsOf('sum by (le) (rate(wochat_made_up_total{code="x"}[5m])) > 0.5 and up == 0')
  expect(metrics).toEqual(['wochat_made_up_total', 'up'])
  expect(known.has('wochat_made_up_total')).toBe(false)
  expect(known.has('wochat_connections')).toBe(true)
})

test('every alert says how bad it is, what is seen and what to do; no two have one name', () => {
  for (const { alert, labels, annotations } of rules) {
    expect(alert).toMatch(/^Wochat[A-Z]/)
    expect(['info', 'warning', 'critical'], alert).toContain(labels.severity)
    expect(annotations.summary?.length, alert).toBeGreaterThan(10)
    expect(annotations.action?.length, alert).toBeGreaterThan(10)
  }
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
})

test('the panels of the dashboard lie side by side, each with its own id', () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  )
  expect(new Set(cells).size).toBe(cells.length)
  expect(Math.max(...panels.map(({ gridPos }) => gridPos.x + gridPos.w))).toBeLessThanOrEqual(24)
})
