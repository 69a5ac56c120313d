// Arrays that were sent by charts/player.py's `packed`; this text is put before the scripts that read some.

const ARRAYS = { f4: Float32Array, i4: Int32Array, i2: Int16Array, i1: Int8Array, u1: Uint8Array };

function unpacked(value) {
  const text = atob(value.content), bytes = new Uint8Array(text.length);
  for (let place = 0; place < text.length; place += 1) bytes[place] = text.charCodeAt(place);
  const array = new ARRAYS[value.kind](bytes.buffer);
  array.shape = value.shape;
  return array;
}
