/** What stands for the outside when nobody has said what it is like. */
import { test } from 'node:test'
import { choreography, event, service } from 'quadrille'
import { simulate } from 'quadrille/simulate'
import * as z from 'zod'

const schema = z.object({ id: z.string() })
const Asked = event('asked', { key: 'id', schema })
const Paid = event('paid', { key: 'id', schema })
const Declined = event('declined', { key: 'id', schema })

interface Charge {
  readonly ok: boolean
}
interface Gateway {
  charge(id: string): Promise<Charge>
}

/** A shop that keeps its answer as `keep` says. */
const shop = (keep: (charge: Charge) => Charge) => (gateway: Gateway) =>
  choreography('shop', {
    services: [
      service('payments').on(
        Asked,
        {
          emits: [Paid, Declined],
          call: async ({ id }, { idempotencyKey }) => keep(await gateway.charge(`${id} ${idempotencyKey}`)),
        },
        ({ id }, { result }) => (result.ok ? Paid({ id }) : Declined({ id })),
      ),
    ],
    starts: [Asked],
    ends: { success: [Paid], failure: [Declined] },
  })

for (const [what, keep] of [
  ['as it came', (charge: Charge) => charge],
  ['field by field', ({ ok, ...rest }: Charge) => ({ ok, rest: { ...rest } })],
  ['inside of another', (charge: Charge) => ({ ok: charge.ok, charge })],
] as const)
  test(`an answer is kept ${what}`, async () => {
    const report = await simulate(shop(keep), { inputs: [{ id: 'a' }], maxFaults: 0, schedules: 20, budget: '60s' })
    report.mustHold()
  })
