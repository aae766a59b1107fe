// node execute.mjs MODEL.json WEIGHTS.bin INPUT SHAPE OUTPUT NAME... runs a graph model with TensorFlow.js.
// INPUT holds float32; SHAPE is 1,3,416,416. The output NAME number n is written to OUTPUT.n, also as float32.
import { readFileSync, writeFileSync } from 'node:fs';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import '@tensorflow/tfjs-backend-cpu';
import { io, tensor } from '@tensorflow/tfjs-core';

const [model, weights, input, shape, output, ...names] = process.argv.slice(2);
const bytes = (path) => Uint8Array.from(readFileSync(path)).buffer;
const described = JSON.parse(readFileSync(model, 'utf8'));
const graph = await loadGraphModel(io.fromMemory({
  modelTopology: described.modelTopology,
  weightSpecs: described.weightsManifest.flatMap((group) => group.weights),
  weightData: bytes(weights),
}));
// One output comes as it is, several in an array.
const results = graph.execute(tensor(new Float32Array(bytes(input)), shape.split(',').map(Number)), names);
for (const [place, result] of [results].flat().entries()) {
  writeFileSync(`${output}.${place}`, new Uint8Array((await result.data()).buffer));
}
