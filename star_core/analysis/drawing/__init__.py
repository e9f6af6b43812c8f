"""Drawing: axes, charts, family trees and backbone strips as SVG."""
