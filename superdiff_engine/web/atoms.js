// Atoms, bonds and backbones drawn by 3Dmol.js, for every script that this text is put before. SOURCE (3Dmol.js as a
// string) and STRUCTURE_COLOURS (by letter) are put before it. Atoms come as numbers and element symbols and are handed to
// 3Dmol as objects: no file format is parsed here, and no text from a file or a user becomes markup.

let library = null;

function load() {
  library ??= window.$3Dmol || window["3Dmol"] || null;
  if (library === null) {
    const script = document.createElement("script");
    script.textContent = SOURCE; // a classic script, as 3Dmol expects to be
    document.head.appendChild(script);
    library = window.$3Dmol || window["3Dmol"];
  }
  return library;
}

const BACKBONE = ["N", "CA", "C", "O"];
const STRUCTURES = { H: "h", E: "s", "-": "c" };

// Backbones as the atoms of one model; every chain by its own letter, so that no cartoon joins two.
function addChains(viewer, chains, style) {
  const model = viewer.addModel();
  const atoms = [];
  chains.forEach((chain, number) => {
    const letters = chain.structure;
    chain.positions.forEach((places, residue) => {
      const letter = letters[residue] in STRUCTURES ? letters[residue] : "-";
      const ss = STRUCTURES[letter];
      const colour = chain.colours ? chain.colours[residue] : STRUCTURE_COLOURS[letter];
      places.forEach((place, kind) => {
        const serial = atoms.length;
        const atom = {
          elem: BACKBONE[kind][0], atom: BACKBONE[kind], resn: "GLY", resi: residue + 1, hetflag: false,
          chain: String.fromCharCode(65 + number), x: place[0], y: place[1], z: place[2], serial, ss, bonds: [],
          bondOrder: [], properties: { colour },
          ssbegin: letters[residue - 1] !== letters[residue], ssend: letters[residue + 1] !== letters[residue],
        };
        // N-CA, CA-C, C-O within the residue; N to the C of the one before.
        const before = kind > 0 ? serial - 1 : residue > 0 ? serial - 2 : -1;
        if (before >= 0) {
          atom.bonds.push(before);
          atom.bondOrder.push(1);
          atoms[before].bonds.push(serial);
          atoms[before].bondOrder.push(1);
        }
        atoms.push(atom);
      });
    });
  });
  model.addAtoms(atoms);
  const colorfunc = (atom) => atom.properties.colour;
  const looks = {
    cartoon: { cartoon: { colorfunc, arrows: true, thickness: 0.4 } },
    trace: { cartoon: { colorfunc, style: "trace", thickness: 0.6 } },
    sticks: { stick: { radius: 0.18, colorfunc } },
  };
  model.setStyle({}, looks[style] || looks.cartoon);
}

function addMolecules(viewer, frame, style) {
  const model = viewer.addModel();
  const atoms = frame.positions.map((place, serial) => ({
    elem: frame.elements[serial], x: place[0], y: place[1], z: place[2], serial, bonds: [], bondOrder: [],
  }));
  for (const [first, second, order] of frame.bonds) {
    for (const [from, to] of [[first, second], [second, first]]) {
      atoms[from].bonds.push(to);
      atoms[from].bondOrder.push(order);
    }
  }
  model.addAtoms(atoms);
  const looks = {
    sticks: {
      stick: { radius: 0.13, doubleBondScaling: 0.6, tripleBondScaling: 0.5, colorscheme: "Jmol" },
      sphere: { scale: 0.22, colorscheme: "Jmol" },
    },
    spheres: { sphere: { scale: 0.9, colorscheme: "Jmol" } },
    surface: { stick: { radius: 0.1, colorscheme: "Jmol" } },
  };
  if (frame.carbons) {
    // Several molecules in one place: carbons in the colour of each, all other elements in their own.
    const jmol = load().elementColors.Jmol;
    const colorfunc = (atom) => (atom.elem === "C" ? frame.carbons[atom.serial] : jmol[atom.elem] ?? 0xaaaaaa);
    looks.sticks = { stick: { radius: 0.11, doubleBondScaling: 0.6, tripleBondScaling: 0.5, colorfunc } };
  }
  model.setStyle({}, looks[style] || looks.sticks);
  if (style === "surface") {
    viewer.addSurface("VDW", { opacity: 0.72, colorscheme: "Jmol" });
  }
}

