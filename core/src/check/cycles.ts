/** Cycles: steps that can lead back to themselves. */
import { mayEmit, type Model, type Step } from './model.ts'

/** The strongly connected parts of the graph that hold a cycle, each as its steps. Tarjan's algorithm, without recursion. */
export function cyclesOf(model: Model): Step[][] {
  const next = model.steps.map((step) => [
    ...new Set(mayEmit(step).flatMap((id) => model.consumers[id]!.map((consumer) => consumer.step.id))),
  ])
  const index = new Map<number, number>()
  const low = new Map<number, number>()
  const stack: number[] = []
  const onStack = new Set<number>()
  const found: Step[][] = []
  for (const { id: root } of model.steps) {
    if (index.has(root)) continue
    const open: { at: number; child: number }[] = [{ at: root, child: 0 }]
    while (open.length > 0) {
      const frame = open[open.length - 1]!
      const { at } = frame
      if (frame.child === 0) {
        index.set(at, index.size)
        low.set(at, index.get(at)!)
        stack.push(at)
        onStack.add(at)
      }
      const to = next[at]![frame.child++]
      if (to !== undefined) {
        if (!index.has(to)) open.push({ at: to, child: 0 })
        else if (onStack.has(to)) low.set(at, Math.min(low.get(at)!, index.get(to)!))
        continue
      }
      open.pop()
      const parent = open[open.length - 1]
      if (parent) low.set(parent.at, Math.min(low.get(parent.at)!, low.get(at)!))
      if (low.get(at) !== index.get(at)) continue
      const part: number[] = []
      for (let step = -1; step !== at;) {
        step = stack.pop()!
        onStack.delete(step)
        part.push(step)
      }
      if (part.length > 1 || next[at]!.includes(at)) found.push(part.map((id) => model.steps[id]!))
    }
  }
  return found
}
