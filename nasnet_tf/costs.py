"""Prints parameters and multiply-adds beside the paper's.

  # Counts all networks of the paper.
  nasnet costs
  # Estimates the memory of a training step of two networks.
  nasnet costs mobile "6 @ 768" --memory --batch_size=64

Guide: docs/differences.md
"""

from nasnet_tf.base import terminal
from nasnet_tf.cli import command, flags

_MEMORY_ROW = "{:<22} {:>5} {:>6} {:>12} {:>12} {:>12}"
_ROW = "{:<22} {:>5} {:>12} {:>8} {:>7} {:>15} {:>8} {:>7}   {}"


def main(arguments: list[str]) -> None:
    """Builds each network and prints its costs."""
    figure = flags.new_output("figure", (".svg", ".png", ".pdf"))
    terminal.import_tensorflow()
    from nasnet_tf.models.costs import count_costs
    from nasnet_tf.models.zoo import ZOO, canonical_name
    from nasnet_tf.serving.hub.load import load_nasnet

    if flags.FLAGS.memory:
        print(_MEMORY_ROW.format("network", "image", "batch", "state", "activations", "together"))
    else:
        print(_ROW.format("network", "image", "parameters", "paper", "differ", "mult-adds", "paper", "differ", "published result"))
    points = []
    if flags.FLAGS.memory:
        from nasnet_tf.models.memory import estimate_memory
    for name in arguments or ZOO:
        key = canonical_name(name)
        options = {} if key else {"genotype": flags.FLAGS.genotype, "stem": flags.FLAGS.stem, "image_size": flags.FLAGS.image_size}
        model = load_nasnet(name, weights=None, num_classes=flags.FLAGS.num_classes, **options)
        size = model.input.shape[1]
        if flags.FLAGS.memory:
            memory = estimate_memory(model, flags.FLAGS.batch_size)
            columns = [ZOO[key].title if key else name, size, flags.FLAGS.batch_size]
            columns += [f"{value / 1e9:.2f} GB" for value in (memory.state_bytes, memory.activation_bytes, memory.total_bytes)]
            print(_MEMORY_ROW.format(*columns), flush=True)
            continue
        costs = count_costs(model)
        paper = ZOO[key].paper if key else None
        columns = [ZOO[key].title if key else name, size]
        for ours, published in ((costs.trainable_parameters, paper and paper.parameters), (costs.mult_adds, paper and paper.mult_adds)):
            columns += [f"{ours:,}", _short(published), f"{ours / published - 1:+.1%}" if published else "-"]
        print(_ROW.format(*columns, _result(paper) if paper else ""), flush=True)
        if paper and paper.top_1:
            points.append((ZOO[key].title, costs.trainable_parameters, costs.mult_adds, paper.top_1))
    if figure:
        from nasnet_tf.viz.diagram import save_figure
        from nasnet_tf.viz.zoo_plot import plot_zoo

        save_figure(plot_zoo(points), figure)
        print(f"figure: {figure}")


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value / 1e9:.3g}B" if value >= 1e9 else f"{value / 1e6:.3g}M"


def _result(paper) -> str:
    if paper.top_1:
        return f"top-1 {paper.top_1}%, top-5 {paper.top_5}%"
    return f"error {paper.error:.2f}%" + (f", {paper.error_with_cutout:.2f}% with cutout" if paper.error_with_cutout else "")


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.DEFINE_boolean("memory", False, "Estimate the memory of a training step on one replica. The auxiliary head is not included.")
    flags.DEFINE_integer("batch_size", 32, "With --memory: the images per replica and step.", lower_bound=1)
    flags.DEFINE_string("figure", None, "A plot of accuracy against costs: .svg, .png or .pdf. It is like the paper's figure 5.")
    flags.DEFINE_string("genotype", None, "For sizes: a published genotype or a textproto.")
    text = "For sizes: the stem. By default cifar for images of up to 64 pixels, else imagenet."
    flags.DEFINE_string("stem", None, text)
    flags.DEFINE_integer("image_size", None, "For sizes: height and width of the images in pixels.", lower_bound=1)
    flags.DEFINE_integer("num_classes", None, "The number of classes, if not the network's usual one.", lower_bound=1)


if __name__ == "__main__":
    command.run(main, define_flags, "Names such as mobile, or sizes such as '6 @ 768'. By default all named networks.")
