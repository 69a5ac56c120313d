// A 3D viewer that keeps its camera while what it shows changes. atoms.js, which draws, is put before this text.
//
// data: {
//   frames: [{ elements: ["C", ...], positions: [[x, y, z], ...], bonds: [[i, j, order], ...] }, ...], or of proteins
//           [{ chains: [{ positions: [[N, CA, C, O], ...], structure: "HE-...", colours: ["#d55e00", ...] or null }] }],
//   style: "sticks" | "spheres" | "surface", of proteins "cartoon" | "trace" | "sticks",
//   scene: what is shown; a new value looks at it afresh, the same one keeps the camera,
//   labels: what to say of each frame, or null,
//   height: of all of it, in pixels,
//   alt: a sentence for those who cannot see it,
//   turning: viewers of the same name turn together; "" turns alone,
// }
// Atoms come as numbers and element symbols and are handed to 3Dmol as objects: no file format is parsed here, and no
// text from a file or a user becomes markup.

// Viewers that turn together, by their name: the others take over how one is turned; where they look, and from how far,
// stays their own. Kept at the window, for all instances of this script.
const groups = (window.superdiffTurning = window.superdiffTurning || new Map());
const turned = (viewer) => viewer.getView().slice(4);
const others = (state) =>
  [...(groups.get(state.turning) || [])].filter((other) => other !== state && other.stage.isConnected);

function turn(viewer, rotation) {
  viewer.setView([...viewer.getView().slice(0, 4), ...rotation]);
}

function follow(state) {
  if (!state.turning || groups.following) {
    return;
  }
  groups.following = true;
  others(state).forEach((other) => turn(other.viewer, turned(state.viewer)));
  groups.following = false;
}

function join(state, name) {
  if (state.turning === name) {
    return;
  }
  if (state.turning) {
    groups.get(state.turning).delete(state);
  }
  state.turning = name;
  if (name) {
    groups.set(name, (groups.get(name) || new Set()).add(state));
    state.viewer.setViewChangeCallback(() => follow(state));
  }
}

function draw(state, index) {
  const frame = state.frames[index];
  const { viewer, style } = state;
  // It draws the whole scene once more, and without a GPU that is the most of what a moment of a run costs.
  if (state.surfaces) {
    viewer.removeAllSurfaces();
  }
  state.surfaces = style === "surface";
  viewer.removeAllModels();
  if (frame.chains) {
    addChains(viewer, frame.chains, style);
  } else {
    addMolecules(viewer, frame, style);
  }
  if (state.scene !== state.seen) {
    viewer.zoomTo();
    // 3Dmol fits the height alone: in a stage that is narrower than high the sides would be cut off.
    const lean = state.stage.clientWidth / state.stage.clientHeight;
    if (lean < 1) {
      viewer.zoom(lean);
    }
    state.seen = state.scene;
    const model = others(state).find((other) => other.seen !== undefined);
    if (model) {
      turn(viewer, turned(model.viewer));
    }
  }
  viewer.render();
  state.shown = index;
  state.slider.value = String(index);
  state.label.textContent = (state.labels && state.labels[index]) || "";
}

function play(state, on) {
  clearInterval(state.timer);
  state.timer = null;
  state.button.textContent = on ? "Pause" : "Play";
  state.button.setAttribute("aria-pressed", String(on));
  if (on) {
    state.timer = setInterval(() => {
      const next = state.shown + 1;
      if (next >= state.frames.length) {
        play(state, false);
      } else {
        draw(state, next);
      }
    }, 90);
  }
}

function begin(parent) {
  const stage = parent.querySelector(".stage");
  const state = {
    stage, timer: null, seen: undefined, shown: 0,
    button: parent.querySelector("button"),
    slider: parent.querySelector("input"),
    label: parent.querySelector(".label"),
    bar: parent.querySelector(".bar"),
  };
  state.viewer = load().createViewer(stage, { backgroundAlpha: 0, antialias: true, disableFog: true });
  if (!state.viewer) {
    stage.textContent = "This browser shows no 3D: WebGL is off.";
    return null;
  }
  state.button.onclick = () => {
    if (state.timer === null && state.shown === state.frames.length - 1) {
      draw(state, 0);
    }
    play(state, state.timer === null);
  };
  state.slider.oninput = () => {
    play(state, false);
    draw(state, Number(state.slider.value));
  };
  // A stage that was hidden, or made wider, is drawn at its new size.
  state.observer = new ResizeObserver(() => state.viewer.resize());
  state.observer.observe(stage);
  return state;
}

const states = new WeakMap();

export default function (component) {
  const parent = component.parentElement;
  const data = component.data;
  if (!data || !data.frames || !data.frames.length) {
    return;
  }
  const stage = parent.querySelector(".stage");
  const several = data.frames.length > 1;
  const height = `${data.height - (several ? 44 : 4)}px`;
  const resized = stage.style.height !== height;
  stage.style.height = height;
  let state = states.get(stage);
  if (state === undefined) {
    state = begin(parent);
    states.set(stage, state);
  }
  if (state === null) {
    return;
  }
  if (resized) {
    state.viewer.resize(); // at once: the observer waits for the next frame, which a quiet page may not draw
  }
  join(state, data.turning || "");
  const fresh = data.scene !== state.scene || data.frames.length !== (state.frames || []).length;
  Object.assign(state, { frames: data.frames, style: data.style, scene: data.scene, labels: data.labels });
  state.bar.style.display = several ? "flex" : "none";
  state.slider.max = String(state.frames.length - 1);
  stage.setAttribute("aria-label", data.alt || "");
  if (fresh) {
    play(state, false);
  }
  draw(state, fresh ? state.frames.length - 1 : Math.min(state.shown, state.frames.length - 1));
}
